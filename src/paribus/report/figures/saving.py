"""Figures to files, vectors and pixels, with their captions beside them; the same figure gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paribus.base.atomic import write_atomically
from paribus.base.errors import UserError
from paribus.report.figures.style import SAVING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, stem: Path | str, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write stem.png, stem.pdf, ..., and stem.txt with the caption, which pictures hold as well, where there is one.

    Raises UserError where they can't be written.
    """
    from matplotlib import rc_context

    from paribus.report.figures.sheet import caption

    stem = Path(stem)
    said = caption(figure)
    told = said or None
    held: dict[str, dict[str, str | None]] = {
        "png": {"Description": said} if said else {},
        "pdf": {"CreationDate": None, "Subject": told},
        "svg": {"Date": None, "Description": told},
    }
    paths = []
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with rc_context(SAVING):
            for each in formats:
                path = stem.with_name(f"{stem.name}.{each}")
                figure.savefig(path, metadata=held.get(each))
                paths.append(path)
        if said:
            paths.append(stem.with_name(f"{stem.name}.txt"))
            write_atomically(paths[-1], f"{said}\n")
    except OSError as error:
        raise UserError(f"{stem} can't be written: {error}. Choose another folder with -o") from error
    return paths

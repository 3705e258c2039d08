"""Figures to files, vectors and pixels; the same figure gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paribus.base.errors import UserError
from paribus.report.figures.style import SAVING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, stem: Path | str, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write stem.png, stem.pdf, ... Raises UserError where they can't be written."""
    from matplotlib import rc_context

    stem = Path(stem)
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    paths = []
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with rc_context(SAVING):
            for each in formats:
                path = stem.with_name(f"{stem.name}.{each}")
                figure.savefig(path, metadata=undated.get(each))
                paths.append(path)
    except OSError as error:
        raise UserError(f"{stem} can't be written: {error}. Choose another folder with -o") from error
    return paths

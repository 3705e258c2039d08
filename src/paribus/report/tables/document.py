"""The files of a paper: the document itself, and what a LaTeX document takes in."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from paribus.base.errors import UserError
from paribus.store.names import read_bounded

MOST_PARTS = 1000  # files of one paper


def parts(path: Path) -> dict[Path, str]:
    r"""The file, and what a LaTeX file names with \input or \include, if it is there."""
    found: dict[Path, str] = {}
    waiting = [path]
    while waiting and len(found) < MOST_PARTS:
        path = waiting.pop()
        if path in found:
            continue
        try:
            found[path] = text = read_bounded(path).decode()
        except (OSError, ValueError) as error:
            raise UserError(f"{path} can't be read: {error}. Name a .tex, .md or .html file") from error
        for name in re.findall(r"(?m)^[^%\n]*\\(?:input|include)\{([^}]+)\}", text) if path.suffix == ".tex" else ():
            inner = path.parent / (name if name.endswith(".tex") else f"{name}.tex")
            with suppress(OSError, ValueError):  # no name of a file at all
                if inner.is_file():
                    waiting.append(inner)
    return found

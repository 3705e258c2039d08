"""A printed table before it is Markdown, LaTeX or HTML: what stands where, and none of it escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

NUMBER = re.compile(r"<? ?[+−-]?\d[\d,]*(\.\d+)?(e[+−-]?\d+)?")


@dataclass(frozen=True)
class Entry:
    """One place of a table.

    text: words or one number; rest: what follows a number, "± 0.96" or "(−1.5 to +0.6)".
    marks: numbers of the footnotes it has. bold: whether the text is. runs: ids behind the number.
    shade: of a number in a grid, how far it is from the worst (0) to the best (1) of them.
    """

    text: str = ""
    rest: str = ""
    bold: bool = False
    marks: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    shade: float | None = None

    @property
    def number(self) -> bool:
        return NUMBER.fullmatch(self.text) is not None


@dataclass(frozen=True)
class Column:
    """words: text, aligned at its left; else numbers, aligned at their point.

    rank: 0 for a column that is always shown. Where there is no room, the last one of the highest rank goes first.
    noted: its words go into the notes then.
    """

    head: str
    words: bool = False
    rank: int = 3
    noted: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table with its title, caption and footnotes.

    label: for references, letters, digits and dashes. notes: footnotes, of which `marks` of entries count from 1;
    those beyond belong to the whole table. source: what it is made from again, see `report.source`.
    short: a caption of two lines, for papers; the whole one goes into the notes there.
    """

    title: str
    label: str
    columns: list[Column]
    rows: list[list[Entry]]
    caption: str
    notes: list[str] = field(default_factory=list)
    source: dict[str, Any] | None = None
    short: str = ""


def aligned(texts: Sequence[str], pad: str = " ") -> list[str]:
    """Padded on both sides, so that the points of the first numbers stand below each other."""
    split = []
    for text in texts:
        digits = NUMBER.search(text)
        point = digits.start(1) if digits and digits.group(1) else digits.end() if digits else len(text)
        split.append((text[:point], text[point:]) if digits else ("", text))
    left = max((len(a) for a, _ in split), default=0)
    right = max((len(b) for a, b in split if a), default=0)
    lines = [a.rjust(left, pad) + b.ljust(right, pad) if a else b for a, b in split]
    width = max(map(len, lines), default=0)
    return [line.rjust(width, pad) for line in lines]


def label_of(*parts: str) -> str:
    """Letters, digits and dashes of these words."""
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(parts)).strip("-") or "table"

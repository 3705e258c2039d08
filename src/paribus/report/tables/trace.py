"""The comments around a generated table: what it was made from travels with it through a paper."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from paribus.evidence.arms import ReportError
from paribus.store.names import bounded

BEGIN, END = "paribus-table", "paribus-table-end"


def traced(text: str, source: Mapping[str, Any], form: str) -> str:
    """The text of a table between two comments; the second says what the table is made from."""
    opening, closing = ("% ", "") if form == "latex" else ("<!-- ", " -->")
    data = json.dumps(source, separators=(",", ":"))  # ASCII; no -- or > that would end a comment
    data = data.replace("--", "\\u002d\\u002d").replace(">", "\\u003e")
    return f"{opening}{BEGIN}{closing}\n{text}{opening}{END} {data}{closing}\n"


@dataclass(frozen=True)
class Region:
    """A generated table in a document. line: of its first comment, from 1. form: latex, or markdown for HTML too."""

    line: int
    form: str
    text: str
    source: dict[str, Any]


def regions(document: str) -> list[Region]:
    """The generated tables of a document, in order.

    Raises ReportError for a table that begins and does not end, and for a comment that can't be read.
    """
    found = []
    lines = document.split("\n")
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        mark = re.fullmatch(rf"\s*(%|<!--) {BEGIN}(-end (.*?))?\s*(-->)?\s*", line)
        if mark is None:
            continue
        if mark.group(2) is None:
            if begun is not None:
                _broken(begun[0], "begins and does not end before the next")
            begun = (number, "latex" if mark.group(1) == "%" else "markdown")
            continue
        if begun is None:
            _broken(number, "ends and has no beginning")
        try:
            source = bounded(json.loads(mark.group(3)))
            if not isinstance(source["plans"], list):
                raise ValueError("plans is no list")
        except (ValueError, KeyError, TypeError, RecursionError):
            _broken(number, "has a comment that can't be read")
        found.append(Region(begun[0] + 1, begun[1], "\n".join(lines[begun[0] + 1 : number]), source))
        begun = None
    if begun is not None:
        _broken(begun[0], "begins and does not end")
    return found


def _broken(line: int, what: str) -> NoReturn:
    raise ReportError(f"a generated table stands between its two {BEGIN} comments; that of line {line + 1} {what}. "
                      "Put the comments back, or write the table again")  # fmt: skip

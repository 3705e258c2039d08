"""The comments around a generated table: what it was made from travels with it through a paper.

A document of its own holds that in the second comment. Of a file that `paribus table -o FILE` writes, the comment holds
a key, and FILE.trace.json what the key stands for: a paper stays legible.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from paribus.evidence.arms import ReportError
from paribus.store.names import bounded, read_bounded

BEGIN, END = "paribus-table", "paribus-table-end"
SUFFIX = ".trace.json"
MOST_FILES = 1000  # of a folder


def traced(text: str, source: Mapping[str, Any], form: str, traces: dict[str, Any] | None = None) -> str:
    """The text of a table between two comments; the second says what the table is made from.

    traces: where that is kept by the key that the comment then holds.
    """
    opening, closing = ("% ", "") if form == "latex" else ("<!-- ", " -->")
    data = json.dumps(source, separators=(",", ":"))  # ASCII; no -- or > that would end a comment
    if traces is not None:
        key = hashlib.sha256(data.encode()).hexdigest()[:16]
        traces[key], data = dict(source), key
    data = data.replace("--", "\\u002d\\u002d").replace(">", "\\u003e")
    return f"{opening}{BEGIN}{closing}\n{text}{opening}{END} {data}{closing}\n"


@dataclass(frozen=True)
class Region:
    """A generated table in a document. line: of its first comment, from 1. form: latex, or markdown for HTML too.

    source: what it is made from; a key where nobody has what that stands for.
    """

    line: int
    form: str
    text: str
    source: dict[str, Any] | str


def beside(folder: Path) -> dict[str, Any]:
    """What the files *.trace.json of a folder hold, by key. One that can't be read is left out."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}"))[:MOST_FILES]:
        with suppress(OSError, ValueError, RecursionError, TypeError, AttributeError):
            found |= {key: each for key, each in bounded(json.loads(read_bounded(path))).items() if _is_key(key)}
    return found


def regions(document: str, traces: Mapping[str, Any] | None = None) -> list[Region]:
    """The generated tables of a document, in order. traces: what keys stand for.

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
            source: Any = mark.group(3)
            if _is_key(source):
                source = (traces or {}).get(source, source)
            else:
                source = bounded(json.loads(source))
            if not isinstance(source, str) and not isinstance(source["plans"], list):
                raise ValueError("plans is no list")
        except (ValueError, KeyError, TypeError, RecursionError):
            _broken(number, "has a comment that can't be read")
        found.append(Region(begun[0] + 1, begun[1], "\n".join(lines[begun[0] + 1 : number]), source))
        begun = None
    if begun is not None:
        _broken(begun[0], "begins and does not end")
    return found


def _is_key(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{16}", text) is not None


def _broken(line: int, what: str) -> NoReturn:
    raise ReportError(f"a generated table stands between its two {BEGIN} comments; that of line {line + 1} {what}. "
                      "Put the comments back, or write the table again")  # fmt: skip

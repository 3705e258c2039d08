"""Tables of ablations and sweeps, verdicts on claims, and whether a paper still agrees with the records."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from paribus.ablation.outputs import store_of
from paribus.base.errors import UserError
from paribus.base.terminal import show
from paribus.cli.reports import write
from paribus.store.names import read_bounded
from paribus.store.reader import Reader

MOST_PARTS = 1000  # files of one paper


def write_table(
    overrides: Sequence[str], form: str, metrics: Sequence[str], by: Sequence[str], output: str | None, **asked: Any
) -> None:
    """asked: the other fields of `report.source.Options`."""
    from paribus.report.tables.asked import tables

    found = tables(overrides, metrics, by, **asked)
    # In a terminal the comments for `paribus verify` would only be noise.
    write(found.text(form, trace=output is not None or not sys.stdout.isatty()), output)


def verify_file(path: str, outputs: str | None) -> None:
    """Prints what was checked; raises UserError where the paper and the records differ."""
    from paribus.report.tables.verify import verify

    store = store_of(outputs)
    read = Reader(store)
    tables = drifted = 0
    for file, text in _parts(Path(path)).items():
        for each in verify(text, read):
            where = f"{file}:{each.line}: {each.title}"
            if not each.drift:
                show(f"{where}: {each.numbers} numbers agree with the records")
            for line in (*each.drift, *each.notices):
                show(f"{where}: {line}")
            tables, drifted = tables + 1, drifted + bool(each.drift)
    if not tables:
        raise UserError(
            f"verify needs tables that `paribus table -o FILE` wrote, with their comments, and {path} has none. "
            "Write one: paribus table ablation=NAME --format latex -o table.tex"
        )
    if drifted:
        raise UserError(
            f"{drifted} of {tables} tables of {path} differ from the records in {store.runs}. Write "
            "them again with paribus "
            "table, or restore the records"
        )


def _parts(path: Path) -> dict[Path, str]:
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

"""Compute each number of the generated tables in a paper (.tex, .md, .html) again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.options import JSON, show_json
from paribus.base.terminal import show

SECTION = "Publish"


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False))
@JSON
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(file: str, outputs: str | None, as_json: bool) -> None:
    from paribus.config.outputs import store_of
    from paribus.report.tables.document import parts
    from paribus.report.tables.trace import beside
    from paribus.report.tables.verify import verify
    from paribus.store.reader import Reader

    store = store_of(outputs)
    read = Reader(store)
    found = parts(Path(file))
    traces = {key: each for folder in {path.parent for path in found} for key, each in beside(folder).items()}
    checked = [(path, each) for path, text in found.items() for each in verify(text, read, store.history, traces)]
    drifted = sum(bool(each.drift) for _, each in checked)
    if as_json:
        show_json([{"file": str(path), **asdict(each)} for path, each in checked])
    else:
        for path, each in checked:
            where = f"{path}:{each.line}: {each.title}"
            if not each.drift:
                show(f"{where}: {each.numbers} numbers agree with the records")
            for line in (*each.drift, *each.notices):
                show(f"{where}: {line}")
    if not checked:
        raise UserError(
            f"verify needs tables that `paribus table -o FILE` wrote, with their comments, and {file} has none. "
            "Write one: paribus table ablation=NAME --format latex -o table.tex"
        )
    if drifted:
        raise UserError(
            f"{drifted} of {len(checked)} tables of {file} differ from the records in {store.runs}. Write "
            "them again with paribus table, or restore the records"
        )

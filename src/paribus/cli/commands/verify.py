"""Compute each number of the generated tables in a paper (.tex, .md, .html) again."""

from __future__ import annotations

from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.terminal import show

SECTION = "Publish"


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(file: str, outputs: str | None) -> None:
    from paribus.config.outputs import store_of
    from paribus.report.tables.document import parts
    from paribus.report.tables.verify import verify
    from paribus.store.reader import Reader

    store = store_of(outputs)
    read = Reader(store)
    tables = drifted = 0
    for path, text in parts(Path(file)).items():
        for each in verify(text, read, store.history):
            where = f"{path}:{each.line}: {each.title}"
            if not each.drift:
                show(f"{where}: {each.numbers} numbers agree with the records")
            for line in (*each.drift, *each.notices):
                show(f"{where}: {line}")
            tables, drifted = tables + 1, drifted + bool(each.drift)
    if not tables:
        raise UserError(
            f"verify needs tables that `paribus table -o FILE` wrote, with their comments, and {file} has none. "
            "Write one: paribus table ablation=NAME --format latex -o table.tex"
        )
    if drifted:
        raise UserError(
            f"{drifted} of {tables} tables of {file} differ from the records in {store.runs}. Write "
            "them again with paribus table, or restore the records"
        )

"""One self-contained HTML page: verdicts, table, interactive curves, every run."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.options import check_page, write

SECTION = "Look"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="report.html", show_default=True)
@click.option("--by", multiple=True, help="Keys whose values make the arms (without an ablation).")
@click.option("--mix", multiple=True, help="Allow runs that differ in this: budget, data, world_size, ...")
def command(overrides: tuple[str, ...], output: str, by: tuple[str, ...], mix: tuple[str, ...]) -> None:
    from paribus.report.page.asked import page_of

    check_page(output)
    write(page_of(overrides, by, mix), output)

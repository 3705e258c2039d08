"""Tidy data of all runs, or of an ablation (ablation=NAME) with its tuning runs."""

from __future__ import annotations

import click

from paribus.base.commands import Command

SECTION = "Keep and share"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False), help="Write to FILE.csv or FILE.parquet."
)
@click.option("--histories", is_flag=True, help="One line for each value over time, instead of one for each run.")
def command(overrides: tuple[str, ...], output: str, histories: bool) -> None:
    from paribus.extras.exchange.export_files import export

    export(overrides, output, histories)

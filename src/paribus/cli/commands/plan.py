"""Arms, runs, which of them are done, what can't work, and how long it takes. Trains nothing."""

from __future__ import annotations

import click

from paribus.base.commands import Command


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--measure", is_flag=True, help="Time a few updates of runs whose duration no record tells.")
def command(overrides: tuple[str, ...], as_json: bool, measure: bool) -> None:
    from paribus.cli.plan import show_plan

    show_plan(overrides, as_json, measure)

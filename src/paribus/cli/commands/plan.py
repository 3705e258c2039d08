"""Arms, runs, which of them are done, what can't work, and how long it takes. Trains nothing."""

from __future__ import annotations

import click

from paribus.cli.strict import Command


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Everything, for a program.")
@click.option("--measure", is_flag=True, help="Time a few updates where no record tells how long a run takes.")
def command(overrides: tuple[str, ...], as_json: bool, measure: bool) -> None:
    from paribus.cli.plan import show_plan

    show_plan(overrides, as_json, measure)

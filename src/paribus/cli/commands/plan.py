"""Arms, runs, which of them are done, what can't work, and how long it takes. Trains nothing."""

from __future__ import annotations

import json

import click

from paribus.base.commands import Command
from paribus.base.terminal import show

SECTION = "Plan and train"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--measure", is_flag=True, help="Time a few updates of runs whose duration no record tells.")
def command(overrides: tuple[str, ...], as_json: bool, measure: bool) -> None:
    from paribus.report.planned import planned

    found = planned(overrides, measure, grouped=not as_json)
    show(json.dumps(found.content(), indent=1) if as_json else str(found))

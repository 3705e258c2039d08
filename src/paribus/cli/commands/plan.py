"""Arms, runs, which of them are done, what can't work, and how long it takes. Trains nothing."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.options import JSON, show_json
from paribus.base.terminal import show

SECTION = "Plan and train"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@JSON
@click.option("--measure", is_flag=True, help="Time a few updates of runs whose duration no record tells.")
def command(overrides: tuple[str, ...], as_json: bool, measure: bool) -> None:
    from paribus.report.planned import planned

    found = planned(overrides, measure, grouped=not as_json)
    if as_json:
        show_json(found.content())
    else:
        show(str(found))

"""Progress of an ablation (ablation=NAME): by arm, what runs, what failed and why, time left."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.memory import uncollected
from paribus.base.options import JSON, show_json
from paribus.base.terminal import show

SECTION = "Plan and train"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@JSON
@uncollected()
def command(overrides: tuple[str, ...], as_json: bool) -> None:
    from paribus.ablation.inputs import Inputs
    from paribus.config.composer import Composer
    from paribus.config.outputs import outputs_folder
    from paribus.evidence.plans import plans_of
    from paribus.evidence.status import progress
    from paribus.report.collect import names_ablation
    from paribus.report.progress import text
    from paribus.store.reader import Reader
    from paribus.store.store import Store

    if not names_ablation(overrides):
        raise UserError("paribus status needs an ablation: paribus status ablation=NAME. For single runs: paribus runs")
    composer = Composer()
    store = Store(outputs_folder(overrides, composer))
    inputs, read = Inputs(store.root), Reader(store)
    found = [progress(plan, store, inputs, read) for plan in plans_of(overrides, read, composer)]
    if as_json:
        show_json([each.to_dict() for each in found])
    else:
        show("\n\n".join(text(each) for each in found))

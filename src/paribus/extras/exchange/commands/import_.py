"""Adopt existing runs: Hydra jobs (lightning-hydra-template's layout) below DIR, a W&B project, or packed results.

The project's own results: paribus import results/records.json.xz
"""

from __future__ import annotations

import click

from paribus.base.commands import Command, Finite, without_effect

SECTION = "Keep and share"


@click.command(cls=Command)
@click.argument("source", metavar="DIR|wandb:ENTITY/PROJECT|FILE.json.xz")
@click.option("--by", multiple=True, help="Choices that make the arms (default: all that the runs vary).")
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder for the records (default: as for train).")
@click.option(
    "--wait",
    type=Finite(0, 86_400),
    default=60.0,
    show_default=True,
    help="How many seconds to wait for an answer from W&B.",
)
def command(source: str, by: tuple[str, ...], outputs: str | None, wait: float) -> None:
    from pathlib import Path

    from paribus.config.outputs import outputs_folder
    from paribus.extras.exchange.adopt import adopt
    from paribus.store.names import PACKED

    if not source.startswith("wandb:"):
        without_effect("wait", "where nothing is asked of W&B")
    if source.endswith(PACKED):
        without_effect("by", "on packed results, which belong to ablations")
    adopt(source, by, Path(outputs) if outputs else outputs_folder(), wait)

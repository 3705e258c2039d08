"""Reload a run and compute its test metrics again; says whether they agree with its record."""

from __future__ import annotations

from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.terminal import show


@click.command(cls=Command)
@click.argument("run")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Use another checkpoint file of the same network.")
@click.option(
    "--trust", is_flag=True, help="Reload an imported run, which calls the code that its configuration names."
)
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(run: str, checkpoint: str | None, trust: bool, outputs: str | None) -> None:
    from paribus.ablation.outputs import store_of

    store = store_of(outputs)
    record = store.find(run)
    from paribus.run.evaluate import evaluate_record

    results = evaluate_record(record, store, Path(checkpoint) if checkpoint else None, trust=trust)
    agree = True
    for key, value in results.items():
        recorded = record.metrics.get(key)
        same = recorded == value or (recorded is not None and recorded != recorded and value != value)
        agree = agree and same
        note = "as recorded" if same else f"recorded: {recorded}"
        show(f"{key} {value!r}  ({note})")
    if checkpoint is None and not agree:
        raise UserError(
            f"run {record.id} does not reproduce its recorded test metrics. They are exact on the same hardware and "
            "versions; the record's provenance says which"
        )

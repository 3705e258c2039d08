"""Train a recorded run again and compare weights, history, metrics; exit code 1 where they differ."""

from __future__ import annotations

import sys

import click

from paribus.base.commands import Command
from paribus.base.terminal import show

SECTION = "Plan and train"


@click.command(cls=Command)
@click.argument("run")
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(run: str, outputs: str | None) -> None:
    from paribus.config.outputs import store_of

    store = store_of(outputs)
    record = store.find(run)
    from paribus.run.rerun import changes, rerun
    from paribus.sweep.ranks import run_ranks

    compared = rerun(record, store, run_ranks)
    for each in compared:
        verdict = "identical" if each.difference is None else f"first difference: {each.difference}"
        show(f"{each.what} ({each.size}): {verdict}")
    if all(each.difference is None for each in compared):
        return
    reasons = changes(record)
    if "seconds" in record.comparable.get("budget", ""):
        reasons.append("a budget in seconds depends on the speed of the machine")
    if record.provenance.get("hardware", {}).get("device", "cpu") != "cpu":
        reasons.append("sums on a GPU are bit-identical only with trainer.deterministic=true")
    show("what has changed: " + ("; ".join(reasons) or "nothing that the record lists"))
    sys.exit(1)

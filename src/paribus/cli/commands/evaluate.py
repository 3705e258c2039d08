"""Reload a run and compute its test metrics again; says whether they agree with its record."""

from __future__ import annotations

import click

from paribus.base.commands import Command


@click.command(cls=Command)
@click.argument("run")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Use another checkpoint file of the same network.")
@click.option(
    "--trust", is_flag=True, help="Reload an imported run, which calls the code that its configuration names."
)
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(run: str, checkpoint: str | None, trust: bool, outputs: str | None) -> None:
    from paribus.cli.reports import evaluate_run

    evaluate_run(run, checkpoint, trust, outputs)

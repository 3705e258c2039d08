"""Train a recorded run again and compare weights, history, metrics; exit code 1 where they differ."""

from __future__ import annotations

import click

from paribus.base.commands import Command


@click.command(cls=Command)
@click.argument("run")
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(run: str, outputs: str | None) -> None:
    from paribus.cli.rerun import rerun_run

    rerun_run(run, outputs)

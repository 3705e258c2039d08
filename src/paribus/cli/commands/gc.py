"""Remove checkpoints of runs that no ablation file and no recent sweep needs; never a record."""

from __future__ import annotations

import click

from paribus.cli.strict import Command, without_effect


@click.command(cls=Command)
@click.option("--recent", metavar="SPAN", default="14d", show_default=True, help="Runs and sweeps younger are kept.")
@click.option("--dry-run", is_flag=True, help="List only.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records lie (default: as for train).")
def command(recent: str, dry_run: bool, yes: bool, outputs: str | None) -> None:
    from paribus.cli.gc import collect_garbage

    if dry_run:
        without_effect("yes", "with --dry-run, which asks nothing")
    collect_garbage(recent, dry_run, yes, outputs)

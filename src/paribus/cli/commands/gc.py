"""Remove checkpoints of runs that no ablation file and no recent sweep needs; never a record."""

from __future__ import annotations

import click

from paribus.base.commands import Command, without_effect


@click.command(cls=Command)
@click.option(
    "--recent",
    metavar="SPAN",
    default="14d",
    show_default=True,
    help="Keep runs and sweeps that are younger than this.",
)
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(recent: str, dry_run: bool, yes: bool, outputs: str | None) -> None:
    from paribus.cli.gc import collect_garbage

    if dry_run:
        without_effect("yes", "with --dry-run, which asks nothing")
    collect_garbage(recent, dry_run, yes, outputs)

"""Upload offline runs to W&B, of an ablation (ablation=NAME) or all, and compare what arrived with the records."""

from __future__ import annotations

import click

from paribus.base.commands import Command, Finite, without_effect

SECTION = "Publish"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("--project", help="Upload to this project, including runs that were trained without W&B.")
@click.option("--entity", help="The W&B team or user (default: that of the run, or of the key).")
@click.option(
    "--wait",
    type=Finite(0, 86_400),
    default=60.0,
    show_default=True,
    help="How many seconds to wait for an answer from W&B.",
)
@click.option("--dry-run", is_flag=True, help="List what would be uploaded, and upload nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def command(
    overrides: tuple[str, ...], project: str | None, entity: str | None, wait: float, dry_run: bool, yes: bool
) -> None:
    from paribus.extras.wandb.upload import sync

    if dry_run:
        without_effect("yes", "with --dry-run, which asks nothing")
    sync(overrides, project, entity, wait, dry_run, yes)

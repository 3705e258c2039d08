"""A W&B workspace and report of an ablation (ablation=NAME), or of the last sweep."""

from __future__ import annotations

import click

from paribus.base.commands import Command

SECTION = "Publish"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("--entity", help="The W&B team or user (default: that of the key).")
@click.option("--project", help="The W&B project (default: the one that the ablation logs to).")
@click.option("--dry-run", is_flag=True, help="Print the JSON. Needs no network and no key.")
def command(overrides: tuple[str, ...], entity: str | None, project: str | None, dry_run: bool) -> None:
    from paribus.extras.wandb.publish import dashboard

    dashboard(overrides, entity, project, dry_run)

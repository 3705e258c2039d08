"""Progress of an ablation (ablation=NAME): by arm, what runs, what failed and why, time left."""

from __future__ import annotations

import click

from paribus.base.commands import Command


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(overrides: tuple[str, ...], as_json: bool) -> None:
    from paribus.cli.status import print_status

    print_status(overrides, as_json)

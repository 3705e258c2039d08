"""Serve the report on this machine, and keep it up to date while the ablation runs."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.terminal import show

SECTION = "Plan and train"


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8778, show_default=True, help="Port; 0 takes any free one."
)
@click.option("--by", multiple=True, help="Keys whose values make the arms (without an ablation).")
@click.option("--mix", multiple=True, help="Allow runs that differ in this: budget, data, world_size, ...")
def command(overrides: tuple[str, ...], port: int, by: tuple[str, ...], mix: tuple[str, ...]) -> None:
    from paribus.report.page.asked import watcher

    served = watcher(overrides, port, by, mix)
    show(f"{served.url}  (Ctrl-C ends it)")
    served.run()

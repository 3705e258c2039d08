"""Every figure of an ablation (ablation=NAME), of the last sweep, or of runs (their ids), as PDF and PNG."""

from __future__ import annotations

import click

from paribus.base.commands import Command
from paribus.base.options import check_folder


@click.command(cls=Command)
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", type=click.Path(file_okay=False), default="figures", show_default=True)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Draw only this figure, or figures by a pattern such as 'learning_*'."
)
@click.option("--mix", multiple=True, help="Allow runs that differ in this: budget, data, world_size, ...")
def command(overrides: tuple[str, ...], output: str, only: tuple[str, ...], mix: tuple[str, ...]) -> None:
    from paribus.cli.figures import write_figures

    check_folder(output)
    write_figures(overrides, output, only, mix)

"""Descend on an error surface: surface=valley optimizer=adagrad_rms optimizer.lr=0.1 scheduler=cosine steps=500.

Prints what became of each descent; one figure for each surface, PNG and PDF. The groups are surface (conf/surface),
optimizer and scheduler; steps, tolerance and seed are plain keys.
"""

from __future__ import annotations

import sys

import click

from paribus.base.commands import Command
from paribus.base.options import check_folder
from paribus.base.terminal import say, show

SECTION = "Look"


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("overrides", nargs=-1)
@click.option("-m", "--multirun", is_flag=True, help="Run every combination of the given values, key=a,b.")
@click.option("-o", "--output", type=click.Path(file_okay=False), default="figures", show_default=True)
def command(overrides: tuple[str, ...], multirun: bool, output: str) -> None:
    check_folder(output)
    from pathlib import Path as Folder

    from paribus.extras.surfaces.report import figure, table
    from paribus.extras.surfaces.run import descents
    from paribus.report.figures.saving import save

    for number, (name, drawn, paths, tolerance) in enumerate(descents(overrides, multirun)):
        show(("\n" if number else "") + table(drawn, paths, tolerance), end="")
        sys.stdout.flush()
        for path in save(figure(drawn, paths), Folder(output) / f"surface_{name}"):
            say(str(path))

"""Compute each number of the generated tables in a paper (.tex, .md, .html) again."""

from __future__ import annotations

import click

from paribus.base.commands import Command


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(file: str, outputs: str | None) -> None:
    from paribus.cli.tables import verify_file

    verify_file(file, outputs)

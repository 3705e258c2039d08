"""Options that several commands have."""

from __future__ import annotations

import click

FORMATS = click.Choice(["markdown", "latex", "html", "csv"])
OUTPUT = click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, not the terminal.")

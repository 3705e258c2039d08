"""Start a project: a module, its data, a test and an ablation, which work at once.

DIR is the folder of the new project. Its name becomes the name of the package. docs/new.md
"""

from __future__ import annotations

from pathlib import Path

import click

from paribus.base.commands import Command
from paribus.base.terminal import show

SECTION = "Begin"


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    from paribus.projects.new import create

    show(f"A new project in {folder}: {', '.join(create(folder))}")
    show(f"Next: cd {folder}, then `make demo` (a table with a verdict in a minute) and `make test`")

"""The `paribus` command. Each file in a folder `commands`, here or in an extra, is a command: no other file names it.

The list of commands takes the first line and the SECTION of each file, and imports none of them.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path
from typing import Any

import click

from paribus.base.version import __version__
from paribus.sweep.failure import run_and_exit

_HERE = Path(__file__).parents[1]
# The packages that hold commands, and their folders.
PACKAGES = {
    ".".join(("paribus", *path.relative_to(_HERE).parts)): path
    for path in (_HERE / "cli" / "commands", *sorted((_HERE / "extras").glob("*/commands")))
}

ORDER = ("Begin", "Plan and train", "Look", "Publish", "Keep and share")  # of the sections that commands name


class Commands(click.Group):
    """The commands that have a file, called like it; `import`, a word of Python's, has import_.py."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.files = {
            path.stem.rstrip("_"): path for folder in PACKAGES.values() for path in sorted(folder.glob("[!_]*.py"))
        }
        for name, path in self.files.items():
            with path.open(encoding="utf-8") as file:
                line = file.readline().strip().strip('"')
            self.add_command(click.Command(name, help=line))  # stands for it until it is called

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By what one does with them, in the order of a study, and each with its whole first line."""
        sections: dict[str, list[str]] = {}
        for name, path in self.files.items():
            found = re.search(r'^SECTION = "(.+)"$', path.read_text(encoding="utf-8"), re.M)
            sections.setdefault(found[1] if found else "Others", []).append(name)
        known = [section for section in ORDER if section in sections]
        for section in (*known, *sorted(sections.keys() - {*known})):
            with formatter.section(section):
                formatter.write_dl([(name, self.commands[name].help or "") for name in sections[section]])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and loaded(command.name or ""), rest


def loaded(name: str) -> click.Command:
    """The command of a file, whose docstring is its help."""
    stem = name + "_" * iskeyword(name)
    package = next(each for each, folder in PACKAGES.items() if (folder / f"{stem}.py").exists())
    module = importlib.import_module(f"{package}.{stem}")
    command: click.Command = module.command
    command.name, command.help = name, inspect.cleandoc(module.__doc__ or "")
    return command


def version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Prints this version and those that it runs on."""
    if not asked or ctx.resilient_parsing:
        return
    from importlib.metadata import version as of
    from platform import python_version

    others = ", ".join(f"{name} {of(name)}" for name in ("torch", "pytorch-lightning", "hydra-core", "wandb"))
    click.echo(f"paribus {__version__} (Python {python_version()}, {others})")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=version, help="Show the versions.")
def cli() -> None:
    """Ablation studies of deep-learning training, everything else being equal.

    OVERRIDES are Hydra's: norm=group, optimizer.lr=0.1, ablation=norms, ...
    """


def main() -> None:
    """Entry of the `paribus` command: exit code 2 and one message for a user's mistake."""
    look_here()
    run_and_exit(run_command)


def look_here() -> None:
    """A user's own modules are found in the current folder, last, so that none hides a library."""
    with suppress(OSError):  # the folder was deleted
        if (here := os.getcwd()) not in sys.path:
            sys.path.append(here)


def run_command() -> None:
    from paribus.base.errors import UserError

    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        if stop.exit_code:
            sys.exit(stop.exit_code)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise UserError(error.format_message()) from error

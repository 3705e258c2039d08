"""Train a run, or with -m a sweep or an ablation."""

from __future__ import annotations

import click

from paribus.base.commands import Command

SECTION = "Plan and train"


@click.command(cls=Command, context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def command(overrides: tuple[str, ...]) -> None:
    from paribus.sweep.train import main

    main(overrides)

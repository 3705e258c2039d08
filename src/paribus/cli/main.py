"""The `paribus` command. Nothing here imports torch: help, table and figures answer at once."""

from __future__ import annotations

import sys

import click

from paribus import __version__
from paribus.cli.curvature import curvature
from paribus.cli.failure import guarded
from paribus.cli.landscape import landscape
from paribus.cli.surface import surface

OVERRIDES = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["-h", "--help"]}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version")
def cli() -> None:
    """Ablation studies of deep-learning training, everything else being equal.

    OVERRIDES are Hydra's: norm=group, optimizer.lr=0.1, ablation=norm, ...
    """


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def train(overrides: tuple[str, ...]) -> None:
    """Train a run, or with -m a sweep or an ablation."""
    from paribus.cli.train import main as hydra_main

    hydra_main(overrides)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--format", "form", type=click.Choice(["markdown", "latex", "csv"]), default="markdown")
@click.option("--metric", "metrics", multiple=True, help="A metric such as test/acc; may be given several times.")
@click.option("--by", multiple=True, help="Keys whose values make the rows (without an ablation).")
@click.option("--mix", multiple=True, help="Something that the runs may differ in: budget, data, world_size, ...")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file instead of the terminal.")
def table(
    overrides: tuple[str, ...],
    form: str,
    metrics: tuple[str, ...],
    by: tuple[str, ...],
    mix: tuple[str, ...],
    output: str | None,
) -> None:
    """The table of an ablation (ablation=NAME), or of the last sweep."""
    from paribus.cli.reports import write_table

    write_table(overrides, form, metrics, by, mix, output)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", type=click.Path(file_okay=False), default="figures", show_default=True)
def figures(overrides: tuple[str, ...], output: str) -> None:
    """Learning curves of an ablation (ablation=NAME), or of the last sweep, as PNG and PDF."""
    from paribus.cli.reports import write_figures

    write_figures(overrides, output)


@cli.command()
@click.argument("overrides", nargs=-1)
def plan(overrides: tuple[str, ...]) -> None:
    """Arms, runs, and which of them are done. Trains nothing."""
    from paribus.cli.reports import print_plan

    print_plan(overrides)


@cli.command()
@click.argument("run")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Another checkpoint file of the same network.")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records lie (default: as for train).")
def evaluate(run: str, checkpoint: str | None, outputs: str | None) -> None:
    """Reload a run and compute its test metrics again; says whether they agree with its record."""
    from paribus.cli.reports import evaluate_run

    evaluate_run(run, checkpoint, outputs)


for command in (curvature, landscape, surface):
    cli.add_command(command)


def main() -> None:
    """Entry of the `paribus` command: exit code 2 and one message for a user's mistake."""
    sys.exit(guarded(run_command))


def run_command() -> None:
    from paribus.errors import UserError

    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        if stop.exit_code:
            sys.exit(stop.exit_code)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise UserError(error.format_message()) from error

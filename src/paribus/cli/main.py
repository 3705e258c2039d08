"""The `paribus` command. Nothing here imports torch: help, table and figures answer at once."""

from __future__ import annotations

import sys

import click

from paribus import __version__
from paribus.cli.failure import guarded

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


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--project", help="Upload to this project, runs that were trained without W&B as well.")
@click.option("--entity", help="The W&B team or user (default: the one of the run, or of the key).")
@click.option("--wait", type=float, default=60.0, show_default=True, help="Seconds to wait for an answer of W&B.")
@click.option("--dry-run", is_flag=True, help="Only say what would be uploaded.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def sync(
    overrides: tuple[str, ...], project: str | None, entity: str | None, wait: float, dry_run: bool, yes: bool
) -> None:
    """Upload offline runs to W&B, of an ablation (ablation=NAME) or all, and compare what arrived with the records."""
    from paribus.cli.sync import sync

    sync(overrides, project, entity, wait, dry_run, yes)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--entity", help="The W&B team or user (default: the one of the key).")
@click.option("--project", help="The W&B project (default: the one that the ablation logs to).")
@click.option("--dry-run", is_flag=True, help="Print the JSON; needs no network and no key.")
def dashboard(overrides: tuple[str, ...], entity: str | None, project: str | None, dry_run: bool) -> None:
    """A W&B workspace and report of an ablation (ablation=NAME), or of the last sweep."""
    from paribus.cli.dashboard import dashboard

    dashboard(overrides, entity, project, dry_run)


@cli.command("import")
@click.argument("source", metavar="DIR|wandb:ENTITY/PROJECT")
@click.option("--by", multiple=True, help="Choices that make the arms (default: all that the runs vary).")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records go (default: as for train).")
@click.option("--wait", type=float, default=60.0, show_default=True, help="Seconds to wait for an answer of W&B.")
def import_(source: str, by: tuple[str, ...], outputs: str | None, wait: float) -> None:
    """Adopt existing runs: Hydra jobs (lightning-hydra-template's layout) below DIR, or a W&B project."""
    from pathlib import Path

    from paribus.cli.adopt import adopt
    from paribus.cli.reports import outputs_folder

    adopt(source, by, Path(outputs) if outputs else outputs_folder(()), wait)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="FILE.csv or FILE.parquet.")
@click.option("--histories", is_flag=True, help="One line for each value over time, instead of one for each run.")
def export(overrides: tuple[str, ...], output: str, histories: bool) -> None:
    """Tidy data of all runs, or of an ablation (ablation=NAME) with its tuning runs."""
    from paribus.cli.export import export

    export(overrides, output, histories)


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

"""The `paribus` command. Nothing here imports torch: help, table and figures answer at once."""

from __future__ import annotations

import sys
from typing import Any

import click

from paribus.base.memory import uncollected
from paribus.base.version import __version__
from paribus.cli.curvature import curvature
from paribus.cli.landscape import landscape
from paribus.cli.strict import Command, Finite, without_effect
from paribus.cli.surface import surface
from paribus.launch.failure import run_and_exit

OVERRIDES = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["-h", "--help"]}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version")
def cli() -> None:
    """Ablation studies of deep-learning training, everything else being equal.

    OVERRIDES are Hydra's: norm=group, optimizer.lr=0.1, ablation=norms, ...
    """


cli.command_class = Command


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def train(overrides: tuple[str, ...]) -> None:
    """Train a run, or with -m a sweep or an ablation."""
    from paribus.cli.train import main as hydra_main

    hydra_main(overrides)


FORMATS = click.Choice(["markdown", "latex", "html", "csv"])
OUTPUT = click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, not the terminal.")


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--format", "form", type=FORMATS, default="markdown")
@click.option(
    "--metric", "metrics", multiple=True, help="Such as test/acc; several times; arms are compared by the first."
)
@click.option(
    "--columns",
    default="",
    help="Metrics, and difference, p, sign_flip, d_z, improvement, detectable, tuned, n, diverged, at_chance: a,b,...",
)
@click.option("--spread", default="sd", help="What stands behind ±: sd, or interval (half the 95 % interval).")
@click.option("--grid", help="ROWS,COLUMNS: two factors; none: a row for each arm (default: where the design is such).")
@click.option("--baseline", help="The arm that others are compared with (default: the ablation's).")
@click.option("--sort", is_flag=True, help="Best arm first.")
@click.option("--by", multiple=True, help="Keys whose values make the rows (without an ablation).")
@click.option("--mix", multiple=True, help="Something that the runs may differ in: budget, data, world_size, ...")
@OUTPUT
@uncollected()
def table(
    overrides: tuple[str, ...], form: str, metrics: tuple[str, ...], columns: str, grid: str | None,
    by: tuple[str, ...], output: str | None, **asked: Any,
) -> None:  # fmt: skip
    """The table of an ablation (ablation=NAME) with the verdicts on its hypotheses, or of the last sweep."""
    from paribus.cli.tables import write_table

    if form == "csv":
        for name in ("spread", "grid", "sort"):
            without_effect(name, "on --format csv, which has a line for each arm with all its numbers")
    places = None if grid is None else tuple(grid.split(",")) if grid != "none" else ()
    named = tuple(name.strip() for name in columns.split(",") if name.strip())
    write_table(overrides, form, metrics, by, output, columns=named, grid=places, **asked)


@cli.command()
@click.argument("ablations", nargs=-1)
@click.option("--format", "form", type=FORMATS, default="markdown")
@click.option("--only", multiple=True, metavar="ID", help="Claims whose id begins so, such as 1.3; several times.")
@click.option("--run", is_flag=True, help="First train and check what is missing; goes on where it was stopped.")
@click.option("--results", type=click.Path(dir_okay=False), help="Show this file, results/records.json.gz, instead.")
@OUTPUT
def claims(
    ablations: tuple[str, ...], form: str, only: tuple[str, ...], run: bool, results: str | None, output: str | None
) -> None:
    """The claims of your ablations: effect, verdict, literature. Those of the lecture notes: paribus claims notes."""
    from paribus.cli.claims import show_claims

    show_claims(ablations, form, output, only, run, results)


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records lie (default: as for train).")
def verify(file: str, outputs: str | None) -> None:
    """Compute each number of the generated tables in a paper (.tex, .md, .html) again."""
    from paribus.cli.tables import verify_file

    verify_file(file, outputs)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", type=click.Path(file_okay=False), default="figures", show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="Only this figure; a pattern such as 'learning_*' will do.")
@click.option("--mix", multiple=True, help="Something that the runs may differ in: budget, data, world_size, ...")
def figures(overrides: tuple[str, ...], output: str, only: tuple[str, ...], mix: tuple[str, ...]) -> None:
    """Every figure of an ablation (ablation=NAME), of the last sweep, or of runs (their ids), as PDF and PNG."""
    from paribus.cli.figures import write_figures

    write_figures(overrides, output, only, mix)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="report.html", show_default=True)
@click.option("--by", multiple=True, help="Keys whose values make the arms (without an ablation).")
@click.option("--mix", multiple=True, help="Something that the runs may differ in: budget, data, world_size, ...")
def report(overrides: tuple[str, ...], output: str, by: tuple[str, ...], mix: tuple[str, ...]) -> None:
    """One self-contained HTML page: verdicts, table, interactive curves, every run."""
    from paribus.cli.page import write_page

    write_page(overrides, output, by, mix)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--port", type=click.IntRange(0, 65535), default=8778, show_default=True, help="0: any that is free.")
@click.option("--by", multiple=True, help="Keys whose values make the arms (without an ablation).")
@click.option("--mix", multiple=True, help="Something that the runs may differ in: budget, data, world_size, ...")
def watch(overrides: tuple[str, ...], port: int, by: tuple[str, ...], mix: tuple[str, ...]) -> None:
    """Serve the report on this machine, and keep it up to date while the ablation runs."""
    from paribus.cli.page import watch_page

    watch_page(overrides, port, by, mix)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Everything, for a program.")
@click.option("--measure", is_flag=True, help="Time a few updates where no record tells how long a run takes.")
def plan(overrides: tuple[str, ...], as_json: bool, measure: bool) -> None:
    """Arms, runs, which of them are done, what can't work, and how long it takes. Trains nothing."""
    from paribus.cli.plan import show_plan

    show_plan(overrides, as_json, measure)


@cli.command()
@click.argument("run")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Another checkpoint file of the same network.")
@click.option("--trust", is_flag=True, help="Reload an imported run: calls what its configuration names.")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records lie (default: as for train).")
def evaluate(run: str, checkpoint: str | None, trust: bool, outputs: str | None) -> None:
    """Reload a run and compute its test metrics again; says whether they agree with its record."""
    from paribus.cli.reports import evaluate_run

    evaluate_run(run, checkpoint, trust, outputs)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--project", help="Upload to this project, runs that were trained without W&B as well.")
@click.option("--entity", help="The W&B team or user (default: the one of the run, or of the key).")
@click.option(
    "--wait", type=Finite(0, 86_400), default=60.0, show_default=True, help="Seconds to wait for an answer of W&B."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be uploaded.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def sync(
    overrides: tuple[str, ...], project: str | None, entity: str | None, wait: float, dry_run: bool, yes: bool
) -> None:
    """Upload offline runs to W&B, of an ablation (ablation=NAME) or all, and compare what arrived with the records."""
    from paribus.cli.sync import sync

    if dry_run:
        without_effect("yes", "with --dry-run, which asks nothing")
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
@click.argument("source", metavar="DIR|wandb:ENTITY/PROJECT|FILE.json.gz")
@click.option("--by", multiple=True, help="Choices that make the arms (default: all that the runs vary).")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records go (default: as for train).")
@click.option(
    "--wait", type=Finite(0, 86_400), default=60.0, show_default=True, help="Seconds to wait for an answer of W&B."
)
def import_(source: str, by: tuple[str, ...], outputs: str | None, wait: float) -> None:
    """Adopt existing runs: Hydra jobs (lightning-hydra-template's layout) below DIR, a W&B project, or packed results.

    The project's own results: paribus import results/records.json.gz
    """
    from pathlib import Path

    from paribus.cli.adopt import adopt
    from paribus.plan.outputs import outputs_folder

    if not source.startswith("wandb:"):
        without_effect("wait", "where nothing is asked of W&B")
    if source.endswith(".json.gz"):
        without_effect("by", "on packed results, which belong to ablations")
    adopt(source, by, Path(outputs) if outputs else outputs_folder(), wait)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="FILE.csv or FILE.parquet.")
@click.option("--histories", is_flag=True, help="One line for each value over time, instead of one for each run.")
def export(overrides: tuple[str, ...], output: str, histories: bool) -> None:
    """Tidy data of all runs, or of an ablation (ablation=NAME) with its tuning runs."""
    from paribus.cli.export import export

    export(overrides, output, histories)


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(overrides: tuple[str, ...], as_json: bool) -> None:
    """How far an ablation is (ablation=NAME): by arm, what runs, what failed and why, time left."""
    from paribus.cli.status import print_status

    print_status(overrides, as_json)


@cli.command()
@click.argument("filters", nargs=-1)
@click.option("--newer", metavar="SPAN", help="Created within 12h, 2d, ...")
@click.option("--older", metavar="SPAN", help="Created longer ago than that.")
@click.option("--sort", "by", metavar="KEY", help="age, test/acc, optimizer.lr, ...; -KEY for the largest first.")
@click.option("-n", "--limit", type=click.IntRange(1, 10**9), help="Show only the first ones.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def runs(
    filters: tuple[str, ...], newer: str | None, older: str | None, by: str | None, limit: int | None, as_json: bool
) -> None:
    """List runs: all, or those with e.g. norm=batch,group status=done arm='b*' optimizer.lr=0.1."""
    from paribus.cli.runs import list_runs

    list_runs(filters, newer, older, by, limit, as_json)


@cli.command()
@click.argument("run")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records lie (default: as for train).")
def rerun(run: str, outputs: str | None) -> None:
    """Train a recorded run again and compare weights, history, metrics; exit code 1 where they differ."""
    from paribus.cli.rerun import rerun_run

    rerun_run(run, outputs)


@cli.command()
@click.option("--recent", metavar="SPAN", default="14d", show_default=True, help="Runs and sweeps younger are kept.")
@click.option("--dry-run", is_flag=True, help="List only.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--outputs", type=click.Path(file_okay=False), help="Where the records lie (default: as for train).")
def gc(recent: str, dry_run: bool, yes: bool, outputs: str | None) -> None:
    """Remove checkpoints of runs that no ablation file and no recent sweep needs; never a record."""
    from paribus.cli.gc import collect_garbage

    if dry_run:
        without_effect("yes", "with --dry-run, which asks nothing")
    collect_garbage(recent, dry_run, yes, outputs)


for command in (curvature, landscape, surface):
    cli.add_command(command)


def main() -> None:
    """Entry of the `paribus` command: exit code 2 and one message for a user's mistake."""
    run_and_exit(run_command)


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

"""`paribus dashboard`: the W&B workspaces and the report of an ablation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from paribus.base.errors import UserError
from paribus.base.terminal import show
from paribus.config.composer import Composer
from paribus.config.nodes import Project, wandb_project
from paribus.config.outputs import outputs_folder
from paribus.evidence.aggregate import aggregate_plan
from paribus.extras.wandb.access import base_url
from paribus.extras.wandb.dashboard import Board, as_json, packages, report, workspaces
from paribus.extras.wandb.limits import check_project
from paribus.extras.wandb.sync import check_access
from paribus.report.collect import Collected, collect, shown_metrics
from paribus.report.tables.source import Options, plan_of, sheets
from paribus.report.tables.table import document
from paribus.store.reader import Reader
from paribus.store.store import Store


def dashboard(overrides: Sequence[str], entity: str | None, project: str | None, dry_run: bool) -> None:
    packages()  # before anything is read: whether they are there
    composer = Composer()
    read = Reader(Store(outputs_folder(overrides, composer)))
    found = collect(overrides, read=read, composer=composer)
    boards = [board(each, read) for each in found]
    named = [wandb_project(cell.run.logger_nodes) for each in found if each.plan for cell in each.plan.cells[:1]]
    own = next(filter(None, named), Project(None, None))
    project, entity = project or own.project or "paribus", entity or own.entity
    check_project(project, entity)
    ablation = found[0].plan.ablation if found[0].plan else None
    name = ablation.name if ablation else found[0].name
    command = shlex.join(["paribus", "train", "-m", *overrides]) if ablation else "paribus table"
    if dry_run:
        show(as_json(boards, entity or "", project, name, command), end="")
        return
    check_access(30.0)
    entity = entity or asked(default_entity)
    for view in (*workspaces(boards, entity, project), report(boards, entity, project, name, command)):
        asked(view.save)
        show(view.url)


def board(found: Collected, read: Reader) -> Board:
    """Rows, curves and verdicts of one ablation (in one regime), or of one sweep."""
    metrics = shown_metrics(found)
    plan = found.plan or plan_of(found.name, found.arms, metrics[0])
    table = aggregate_plan(plan, read, metrics)
    text = document(sheets([plan], read, Options(metrics), read.store.history), "markdown", trace=False)
    if plan.ablation is None:
        return Board(table, text)
    tuning = [record for cell in plan.tuning if (record := read(cell.id)) is not None]
    return Board(table, text, tuning, list(plan.ablation.tune), plan.ablation.select_on)


def default_entity() -> str:
    import wandb

    return str(wandb.Api(timeout=30).default_entity)


def asked(question: Callable[[], Any]) -> Any:
    """The answer of W&B; whatever it complains of is said in one message."""
    try:
        return question()
    except Exception as error:  # of wandb, of its service, of the models of wandb-workspaces
        raise UserError(
            f"W&B at {base_url()} refused the dashboard: {type(error).__name__}: {error}. "
            "See what would be sent: paribus dashboard --dry-run"
        ) from error

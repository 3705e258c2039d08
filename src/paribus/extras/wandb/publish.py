"""`paribus dashboard`: the W&B workspaces and the report of an ablation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from paribus.base.errors import UserError
from paribus.base.terminal import say, show
from paribus.config.composer import Composer
from paribus.config.nodes import Project, wandb_project
from paribus.config.outputs import outputs_folder
from paribus.evidence.arms import ReportError, how_to_train
from paribus.extras.wandb.access import base_url
from paribus.extras.wandb.board import Board
from paribus.extras.wandb.dashboard import as_json, packages, report, workspaces
from paribus.extras.wandb.images import Images, upload
from paribus.extras.wandb.limits import check_project
from paribus.extras.wandb.sync import check_access
from paribus.report.collect import Collected, collect, shown_metrics
from paribus.report.study import study
from paribus.report.tables.source import Options, sheets
from paribus.report.tables.table import document
from paribus.store.reader import Reader
from paribus.store.store import Store

WAIT = 30.0  # seconds for any one answer of W&B


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
    images = Images.of(name, boards)
    if dry_run:
        show(as_json(boards, images, entity or "", project, command), end="")
        say(f"nothing was sent{f'; the report would show {images}' if images.keys else ''}")
        return
    try:
        check_access(WAIT)
    except UserError as error:
        raise UserError(f"{error}. To see what would be sent: paribus dashboard --dry-run") from None
    own_entity = entity or asked(default_entity)
    if images.keys:  # first: the report shows them
        say(f"pictures: {asked(lambda: upload(images, boards, own_entity, project, WAIT))}")
    for view in (*workspaces(boards, own_entity, project), report(boards, images, own_entity, project, command)):
        asked(view.save)
        show(view.url)


def board(found: Collected, read: Reader) -> Board:
    """Rows, curves and verdicts of one ablation (in one regime), or of one sweep.

    Raises ReportError where no run is done.
    """
    metrics, history = shown_metrics(found), read.store.history
    made = study(found.name, found.arms, metrics, found.plan, read, history)
    if made.table is None:
        raise ReportError(f"{found.name} has no finished run, and a dashboard needs one. {how_to_train(found.plan)}")
    text = document(sheets([made.plan], read, Options(metrics), history), "markdown", trace=False)
    return Board(made, made.table, text)


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

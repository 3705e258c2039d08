"""An ablation as a W&B workspace and a W&B report: curves with bands over seeds, sensitivity, parallel coordinates, and
the table that our own records give. W&B computes nothing that the table says.

Run sets are made of ids. A baseline that several ablations share is one run with one group, so that a filter by group
would lose it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.base.errors import UserError
from paribus.base.metrics import Key, Metrics, kind
from paribus.evidence.aggregate import Aggregate
from paribus.evidence.arms import is_seed
from paribus.extras.wandb.limits import MAX_NAME, shortened
from paribus.report import escape
from paribus.report.curves import curve_keys
from paribus.report.numbers import title
from paribus.store.record import Record

MOST_RUN_SETS = 20  # one for each arm, up to here
MOST_RUNS = 1000  # W&B draws 10 by default


@dataclass
class Board:
    """What is shown of one ablation (in one regime) or of one sweep.

    text: its table and verdicts as Markdown. tuning: the runs of its tuning grid. tuned: the config keys that are
    tuned.
    """

    table: Aggregate
    text: str
    tuning: Sequence[Record] = ()
    tuned: Sequence[str] = ()
    select_on: Key | None = None
    arms: dict[str, list[str]] = field(init=False)  # arm -> ids of its runs
    known: Metrics = field(init=False)  # what the runs declare
    score: Key = field(init=False)  # what is selected on, or the validation's part of what arms are compared by
    curves: list[Key] = field(init=False)

    def __post_init__(self) -> None:
        self.arms = {row.arm: [run.id for run in row.runs] for row in self.table.rows if row.runs}
        runs = [run for row in self.table.rows for run in row.runs]
        self.known = Metrics(metric for run in runs for metric in run.known.values())
        logged = {key for run in runs for key in run.metrics}
        if not any(key.startswith("train/") for key in logged):  # of records that hold results only
            logged |= {*self.known.measured()}
        self.score = self.select_on or self.known.key(f"val/{kind(self.table.metrics[0])}")
        self.curves = [
            self.known.key(key) for key in curve_keys(self.known, logged, (self.table.metrics[0], self.score))
        ]

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys([*(id for ids in self.arms.values() for id in ids), *(r.id for r in self.tuning)]))

    @property
    def rates(self) -> list[str]:
        """The numeric keys that a sensitivity plot can show: what is tuned, else what varies."""
        runs = [*(run for row in self.table.rows for run in row.runs), *self.tuning]
        found = dict.fromkeys([*self.tuned, *(key for key in self.table.varied if "." in key)])
        numeric = [k for k in found if any(isinstance(r.choices.get(k), int | float) for r in runs)]
        return [*numeric, *([] if numeric else ["optimizer.lr"])]

    @property
    def apart(self) -> list[str]:
        """The choices that tell the arms apart; none where they don't. An arm's own name would not do: a run that
        several ablations share bears the name that one of them has given it."""
        keys = [key for key in self.table.varied if not is_seed(key) and key not in self.tuned]
        rows = [
            {tuple(str(run.choices.get(key)) for key in keys) for run in row.runs}
            for row in self.table.rows
            if row.runs
        ]
        places = [place for row in rows for place in row]
        return keys if len(places) == len(rows) == len({*places}) else []

    @property
    def columns(self) -> list[str]:
        """The choices that make the runs of the ablation different."""
        return [key for key in dict.fromkeys([*self.table.varied, *self.tuned]) if not is_seed(key)]


def packages() -> tuple[Any, Any, Any]:
    """wandb_workspaces' reports, workspaces and expressions. Raises UserError where it is not installed."""
    try:
        import wandb_workspaces.expr as expr
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ModuleNotFoundError as error:
        raise UserError(
            f"dashboards need the package wandb-workspaces ({error.name} is missing): pip install 'paribus[wandb]'"
        ) from error
    return reports, workspaces, expr


def report(boards: Sequence[Board], entity: str, project: str, name: str, command: str) -> Any:
    """The W&B report: a wandb_workspaces Report, which nothing has been sent of yet."""
    wr, _, _ = packages()
    blocks: list[Any] = [wr.TableOfContents()]
    for board in boards:
        grids = _Grids(board, wr)
        blocks += [
            wr.H1(escape.plain(board.table.name)),
            wr.MarkdownBlock(text=board.text),
            wr.H2("Learning curves"),
            grids.curves(),
            wr.H2("Sensitivity"),
            grids.sensitivity(),
            wr.H2("Arm by arm"),
        ]
        for arm in list(board.arms)[:MOST_RUN_SETS]:
            blocks += [wr.H3(escape.plain(arm)), grids.of_arm(arm)]
    blocks += [wr.H2("Repeat"), wr.MarkdownBlock(text=f"```bash\n{command}\n```")]
    return wr.Report(
        entity=entity,
        project=project,
        title=shortened(f"Ablation {escape.plain(name)}", MAX_NAME),
        description=shortened(escape.plain(" ".join(_sentence(board) for board in boards)), 500),
        blocks=blocks,
        width="fluid",
    )


def workspaces(boards: Sequence[Board], entity: str, project: str) -> list[Any]:
    """The W&B workspaces, of which nothing has been sent yet: one for each regime, with the runs that its table reports
    and no others, and one for its tuning.

    All panels of a workspace show one set of runs, so several regimes in one would each show the runs of all.
    """
    found = []
    for board in boards:
        name, grids = board.table.name, _Grids(board, packages()[0])
        reported = list(dict.fromkeys(id for ids in board.arms.values() for id in ids))
        curves = ("Curves", grids.curve_panels(grouped_by=None))
        sensitivity = ("Sensitivity", grids.sensitivity_panels())
        if board.tuning:
            found.append(_workspace(board, entity, project, name, reported, [curves], grouped=True))
            found.append(_workspace(board, entity, project, f"{name}, tuning", board.ids, [sensitivity], grouped=False))
        else:
            found.append(_workspace(board, entity, project, name, reported, [curves, sensitivity], grouped=True))
    return found


def _workspace(
    board: Board,
    entity: str,
    project: str,
    name: str,
    ids: Sequence[str],
    sections: Sequence[tuple[str, list[Any]]],
    grouped: bool,
) -> Any:
    _, ws, expr = packages()
    metric = board.table.metrics[0]
    groups = [expr.Config(f"choices.{key}") for key in board.apart] or [expr.Metric("JobType")]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=_allowed(shortened(f"Ablation {escape.plain(name)}", MAX_NAME)),
        sections=[ws.Section(name=title, panels=panels, is_open=True) for title, panels in sections],
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=_with_ids(ids),
            groupby=groups if grouped else [],
            order=[expr.Ordering(expr.Summary(metric), ascending=metric.metric.better == "lower")],
            pinned_columns=[f"summary:{metric}", "config:seed.value"],
        ),
    )


def as_json(boards: Sequence[Board], entity: str, project: str, name: str, command: str) -> str:
    """What would be sent: {"workspaces": [...], "report": ...}."""

    def plain(view: Any) -> Any:
        return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)

    content = {
        "workspaces": [plain(each) for each in workspaces(boards, entity, project)],
        "report": plain(report(boards, entity, project, name, command)),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


class _Grids:
    """The panels of one ablation, and the run sets that they show."""

    def __init__(self, board: Board, wr: Any):
        self.board, self.wr = board, wr

    def curves(self) -> Any:
        return self.wr.PanelGrid(runsets=self.run_sets(self.board.arms), panels=self.curve_panels())

    def sensitivity(self) -> Any:
        return self.wr.PanelGrid(
            runsets=[self.run_set("all runs, tuning included", self.board.ids, grouped=False)],
            panels=self.sensitivity_panels(),
        )

    def of_arm(self, arm: str) -> Any:
        panels = [self.curve(metric, k, grouped=False) for k, metric in enumerate(self.board.curves)]
        return self.wr.PanelGrid(runsets=[self.run_set(arm, self.board.arms[arm], grouped=False)], panels=panels)

    def run_sets(self, arms: dict[str, list[str]]) -> list[Any]:
        if len(arms) > MOST_RUN_SETS:
            return [self.run_set("all arms", [id for ids in arms.values() for id in ids], grouped=True)]
        return [self.run_set(arm, ids, grouped=True) for arm, ids in arms.items()]

    def run_set(self, name: str, ids: list[str], grouped: bool) -> Any:
        # A run set's project is the report's. Naming it would take a question to the server, also in a dry run.
        return self.wr.Runset(
            name=escape.plain(name),
            filters=_with_ids(ids),
            groupby=["JobType"] if grouped else [],
        )

    def curve_panels(self, grouped_by: str | None = "JobType") -> list[Any]:
        """grouped_by: of the panels; None in a workspace, whose runs are grouped."""
        metrics = list(dict.fromkeys([*self.board.curves, self.board.score]))
        panels = [self.curve(metric, k, True, grouped_by) for k, metric in enumerate(metrics)]
        main = self.board.table.metrics[0]
        panels.append(
            self.wr.BarPlot(
                title=f"{title(main)}, mean ± SD over seeds",
                metrics=[main],
                groupby=grouped_by,
                groupby_aggfunc="mean",
                groupby_rangefunc="stddev",
                max_runs_to_show=MOST_RUNS,
                layout=self.place(len(panels)),
            )
        )
        return panels

    def curve(self, metric: Key, number: int, grouped: bool, grouped_by: str | None = "JobType") -> Any:
        bands = {"groupby": grouped_by, "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"} if grouped else {}
        return self.wr.LinePlot(
            title=title(metric) + (", mean ± SD over seeds" if grouped else ", each seed"),
            x="step",
            y=[metric],
            log_y=metric.metric.falls or None,
            max_runs_to_show=MOST_RUNS,
            layout=self.place(number),
            **bands,
        )

    def sensitivity_panels(self) -> list[Any]:
        wr, score = self.wr, self.board.score
        panels = [
            wr.ScatterPlot(
                title=f"{title(score)} over {key}",
                x=wr.Config(key),
                y=wr.SummaryMetric(score),
                log_x=True,
                layout=self.place(k),
            )
            for k, key in enumerate(self.board.rates)
        ]
        columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(f"choices.{key}")) for key in self.board.columns]
        columns += [
            wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(metric))
            for metric in dict.fromkeys([score, self.board.table.metrics[0]])
        ]
        width = wr.Layout(x=0, y=8 * ((len(panels) + 1) // 2), w=24, h=9)
        return [*panels, wr.ParallelCoordinatesPlot(title="choices and results", columns=columns, layout=width)]

    def place(self, number: int) -> Any:
        """Two panels side by side; a report is 24 columns wide."""
        return self.wr.Layout(x=12 * (number % 2), y=8 * (number // 2), w=12, h=8)


def _sentence(board: Board) -> str:
    compared = title(board.table.metrics[0])
    return f"{board.table.name}: {len(board.arms)} arms, {len(board.ids)} runs, compared by {compared}."


def _with_ids(ids: Sequence[str]) -> str:
    """A filter in wandb_workspaces' language. It replaces = and < within quotes as well; ids hold neither."""
    assert all(re.fullmatch(r"[\w-]+", id) for id in ids)
    return f"Metric('ID') in {list(ids)!r}"


def _allowed(name: str) -> str:
    """Without what W&B takes for an emoji in the name of a workspace: any symbol, + and = included."""
    return "".join(c if unicodedata.category(c)[0] != "S" else "-" for c in name)

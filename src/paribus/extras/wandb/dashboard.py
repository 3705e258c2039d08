"""An ablation as W&B workspaces and a W&B report: curves with bands over seeds, sensitivity, importance, parallel
coordinates, our forest as an image, and the table that our own records give. W&B computes nothing that the table says.

Run sets are made of ids. A baseline that several ablations share is one run with one group, so that a filter by group
would lose it. Arms have the colours of our figures.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paribus.base.errors import UserError
from paribus.base.metrics import Key
from paribus.extras.wandb.board import JOB, Board, config_key, wide
from paribus.extras.wandb.images import Images
from paribus.extras.wandb.limits import MAX_NAME, shortened
from paribus.report import escape
from paribus.report.numbers import title

MOST_RUN_SETS = 20  # one for each arm, up to here
MOST_RUNS = 1000  # W&B draws 10 by default


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


def report(boards: Sequence[Board], images: Images, entity: str, project: str, command: str) -> Any:
    """The W&B report: a wandb_workspaces Report, which nothing has been sent of yet."""
    wr, _, _ = packages()
    blocks: list[Any] = [wr.TableOfContents()]
    for number, board in enumerate(boards):
        grids = _Grids(board, wr)
        blocks += [wr.H1(escape.plain(board.name)), wr.MarkdownBlock(text=board.text)]
        if number in images.keys:
            blocks += [wr.H2("Differences"), grids.image(images, images.keys[number])]
        for heading, grid in (("Learning curves", grids.curves()), ("Sensitivity", grids.sensitivity())):
            blocks += [wr.H2(heading), grid] if grid is not None else []
        if board.curves:
            blocks.append(wr.H2("Arm by arm"))
            for arm in list(board.arms)[:MOST_RUN_SETS]:
                blocks += [wr.H3(escape.plain(arm)), grids.of_arm(arm)]
    blocks += [wr.H2("Repeat"), wr.MarkdownBlock(text=f"```bash\n{command}\n```")]
    return wr.Report(
        entity=entity,
        project=project,
        title=shortened(f"Ablation {escape.plain(images.name)}", MAX_NAME),
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
        grids = _Grids(board, packages()[0])
        curves = ("Curves", grids.curve_panels())
        sensitivity = ("Sensitivity", grids.sensitivity_panels())
        if board.tuned:
            found.append(_workspace(board, entity, project, board.name, board.reported, [curves], grouped=True))
            name = f"{board.name}, tuning"
            found.append(_workspace(board, entity, project, name, board.runs, [sensitivity], grouped=False))
        else:
            both = [curves, sensitivity]
            found.append(_workspace(board, entity, project, board.name, board.reported, both, grouped=True))
    return found


def _workspace(
    board: Board,
    entity: str,
    project: str,
    name: str,
    ids: Iterable[str],
    sections: Sequence[tuple[str, list[Any]]],
    grouped: bool,
) -> Any:
    _, ws, expr = packages()
    metric, ids, colours = board.metric, list(ids), board.colours_of_runs
    keys = board.groups.keys if grouped else ()
    of_groups = {group: board.colours[arm] for arm in board.arms if (group := board.groups.of(arm))} if keys else {}
    return ws.Workspace(
        entity=entity,
        project=project,
        name=_allowed(shortened(f"Ablation {escape.plain(name)}", MAX_NAME)),
        sections=[ws.Section(name=title, panels=panels, is_open=True) for title, panels in sections if panels],
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=_with_ids(ids),
            groupby=[expr.Metric(JOB) if key == JOB else expr.Config(key) for key in keys],
            order=[expr.Ordering(expr.Summary(metric), ascending=metric.metric.better == "lower")],
            run_settings={id: ws.RunSettings(color=colours[id]) for id in ids if id in colours},
            group_colors={ws.GroupPath(*group): colour for group, colour in of_groups.items()},
            pinned_columns=[f"summary:{metric}", "config:seed.value"],
        ),
    )


def as_json(boards: Sequence[Board], images: Images, entity: str, project: str, command: str) -> str:
    """What would be sent: {"workspaces": [...], "report": ..., "images": {"run": id, "keys": [...]}}."""

    def plain(view: Any) -> Any:
        return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)

    content = {
        "workspaces": [plain(each) for each in workspaces(boards, entity, project)],
        "report": plain(report(boards, images, entity, project, command)),
        "images": {"run": images.id, "job_type": images.job_type, "keys": list(images.keys.values())},
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


class _Grids:
    """The panels of one ablation, and the run sets that they show."""

    def __init__(self, board: Board, wr: Any):
        self.board, self.wr = board, wr

    def curves(self) -> Any:
        """None where there is nothing to draw."""
        panels = self.curve_panels()
        arms = self.board.arms
        if len(arms) > MOST_RUN_SETS:
            arms = {"all arms": list(self.board.reported)}
        sets = {escape.plain(name): ids for name, ids in arms.items()}
        run_sets = [self.run_set(name, ids, self.board.groups.keys) for name, ids in sets.items()]
        return (
            self.wr.PanelGrid(runsets=run_sets, panels=panels, custom_run_colors=self.colours(sets)) if panels else None
        )

    def sensitivity(self) -> Any:
        """None where there is nothing to draw."""
        panels = self.sensitivity_panels()
        name = "all runs, tuning included" if self.board.tuned else "all runs"
        return self.wr.PanelGrid(runsets=[self.run_set(name, self.board.runs)], panels=panels) if panels else None

    def of_arm(self, arm: str) -> Any:
        panels = [self.curve(metric, k, grouped=False) for k, metric in enumerate(self.board.curves)]
        return self.wr.PanelGrid(runsets=[self.run_set(escape.plain(arm), self.board.arms[arm])], panels=panels)

    def image(self, images: Images, key: str) -> Any:
        """Logged by a run of its own: reports take pictures from addresses that everybody can read, or from runs."""
        panel = self.wr.MediaBrowser(
            title=f"{title(self.board.metric)}: differences from {escape.plain(self.board.table.baseline.arm)}",
            media_keys=[key],
            num_columns=1,
            layout=self.wr.Layout(x=0, y=0, w=24, h=6 + self.board.differences),
        )
        run_set = self.wr.Runset(name=images.job_type, filters=_with_ids([images.id]))
        return self.wr.PanelGrid(runsets=[run_set], panels=[panel], hide_run_sets=True)

    def run_set(self, name: str, ids: Iterable[str], keys: Sequence[str] = ()) -> Any:
        # A run set's project is the report's. Naming it would take a question to the server, also in a dry run.
        ids, colours = list(ids), self.board.colours_of_runs
        return self.wr.Runset(
            name=name,
            filters=_with_ids(ids),
            groupby=[key if key == JOB else f"config.{key}" for key in keys],
            run_settings={id: self.wr.RunSettings(color=colours[id]) for id in ids if id in colours},
        )

    def colours(self, sets: Mapping[str, Sequence[str]]) -> dict[Any, str]:
        """The group of each arm, in the run set that has it, and its colour."""
        wr, board = self.wr, self.board
        # The library writes the name of a key of runs without its section, and W&B's pages read it with it.
        places = [wr.Metric("run:jobType") if key == JOB else wr.Config(key) for key in board.groups.keys]
        found = {}
        for arm in board.arms:
            name = escape.plain(arm) if escape.plain(arm) in sets else next(iter(sets))
            if group := board.groups.of(arm):
                keys = tuple(wr.RunsetGroupKey(key, value) for key, value in zip(places, group, strict=True))
                found[wr.RunsetGroup(runset_name=name, keys=keys)] = board.colours[arm]
        return found

    def curve_panels(self) -> list[Any]:
        """A curve of each metric, and a bar of each arm. Run sets are grouped, so panels are not."""
        grouped = bool(self.board.groups)
        panels = [self.curve(metric, k, grouped) for k, metric in enumerate(self.board.curves)]
        if grouped and len(self.board.arms) > 1:
            panels.append(
                self.wr.BarPlot(
                    title=f"{title(self.board.metric)}, mean ± SD over seeds",
                    metrics=[self.board.metric],
                    groupby_aggfunc="mean",
                    groupby_rangefunc="stddev",
                    max_runs_to_show=MOST_RUNS,
                    layout=self.place(len(panels)),
                )
            )
        return panels

    def curve(self, metric: Key, number: int, grouped: bool) -> Any:
        return self.wr.LinePlot(
            title=title(metric) + (", mean ± SD over seeds" if grouped else ", each seed"),
            x="step",
            y=[metric],
            log_y=metric.metric.falls or None,
            max_runs_to_show=MOST_RUNS,
            layout=self.place(number),
            **({"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"} if grouped else {}),
        )

    def sensitivity_panels(self) -> list[Any]:
        """What runs came to over the numbers that vary; nothing where none does."""
        wr, board = self.wr, self.board
        if not board.numbers or not board.results:
            return []
        score = board.results[0]
        panels = [
            wr.ScatterPlot(
                title=f"{title(score)} over {key}",
                x=wr.Config(config_key(key)),
                y=wr.SummaryMetric(score),
                log_x=wide(values) or None,
                layout=self.place(k),
            )
            for k, (key, values) in enumerate(board.numbers.items())
        ]
        columns = [
            wr.ParallelCoordinatesPlotColumn(
                metric=wr.Config(config_key(key)), log=(key in board.numbers and wide(values)) or None
            )
            for key, values in board.columns.items()
        ]
        columns += [wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(metric)) for metric in board.results]
        panels.append(wr.ParameterImportancePlot(with_respect_to=score, layout=self.place(len(panels))))
        width = wr.Layout(x=0, y=8 * ((len(panels) + 1) // 2), w=24, h=9)
        return [*panels, wr.ParallelCoordinatesPlot(title="choices and results", columns=columns, layout=width)]

    def place(self, number: int) -> Any:
        """Two panels side by side; a report is 24 columns wide."""
        return self.wr.Layout(x=12 * (number % 2), y=8 * (number // 2), w=12, h=8)


def _sentence(board: Board) -> str:
    compared = title(board.metric)
    return f"{board.name}: {len(board.arms)} arms, {len(board.runs)} runs, compared by {compared}."


def _with_ids(ids: Sequence[str]) -> str:
    """A filter in wandb_workspaces' language. It replaces = and < within quotes as well; ids hold neither."""
    assert all(re.fullmatch(r"[\w-]+", id) for id in ids)
    return f"Metric('ID') in {list(ids)!r}"


def _allowed(name: str) -> str:
    """Without what W&B takes for an emoji in the name of a workspace: any symbol, + and = included."""
    return "".join(c if unicodedata.category(c)[0] != "S" else "-" for c in name)

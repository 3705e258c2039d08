"""All that a report or a figure says of an ablation in one regime: its table, its runs, their histories, its tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.ablation.cells import Cell, Plan
from paribus.ablation.file import Ablation
from paribus.ablation.findings import Finding, family, implied
from paribus.base.metrics import Key, Metrics
from paribus.evidence.aggregate import Aggregate, aggregate_plan, keys
from paribus.evidence.arms import Arms, ReportError, how_to_train
from paribus.evidence.budgets import Budgets, tuning_budgets
from paribus.evidence.factorial import Factorial, factorial
from paribus.evidence.targets import History, TargetTimes, times_to_targets
from paribus.report.tables.source import plan_of
from paribus.store.declared import agreed
from paribus.store.record import Record
from paribus.store.scores import score


@dataclass(frozen=True)
class Trial:
    """A tuning run at one point of its arm's grid; point is empty where only a path was chosen.

    score: of the metric that is selected on, nan where it diverged. at_chance: the same, what guessing scores there.
    """

    arm: str
    point: Mapping[str, Any]
    seed: int
    score: float
    at_chance: float
    record: Record


@dataclass(frozen=True)
class Study:
    """An ablation in one regime.

    table: None while no run is done. histories: run id -> columns. findings: on the file's hypotheses, or on each
    arm's being better than the baseline where it has none. tuning: by arm, the records of tuning runs and of those at
    further kept points. grid: the table decomposed by its factors, or why it is not. times: to the ablation's targets.
    budgets: what its arms give after k trials, where they draw any. sampled: whether histories of some runs are a few
    points, which came with imported records.
    """

    name: str
    metric: Key
    arms: Arms
    table: Aggregate | None
    plan: Plan
    histories: Mapping[str, History] = field(default_factory=dict)
    trials: Sequence[Trial] = ()
    findings: Sequence[Finding] = ()
    tuning: Arms = field(default_factory=dict)
    grid: Factorial | str = "no run is done yet"
    times: Sequence[TargetTimes] = ()
    budgets: Budgets | None = None
    sampled: bool = False

    @property
    def known(self) -> Metrics:
        """The metrics that its runs declare."""
        different = {id(known): known for runs in self.runs().values() for run in runs for known in [run.known]}
        return Metrics(metric for known in different.values() for metric in known.values())

    def key(self, metric: str) -> Key:
        """A metric with what the runs declare of it. Raises Contradiction where they declare it differently."""
        return agreed(metric, (record for records in self.arms.values() for record in records))

    @property
    def ablation(self) -> Ablation | None:
        return self.plan.ablation

    @property
    def regime(self) -> str | None:
        return self.ablation.regime if self.ablation else None

    @property
    def smallest(self) -> float | None:
        """The smallest effect of interest, in the unit of the metric."""
        return self.ablation.smallest_effect if self.ablation else None

    @property
    def select_on(self) -> Key:
        return self.ablation.select_on if self.ablation else self.metric

    def runs(self, *statuses: str) -> dict[str, list[Record]]:
        """arm -> records with one of these statuses, or all of them."""
        return {arm: present(records, *statuses) for arm, records in self.arms.items()}

    def curves(self) -> dict[str, list[History]]:
        """arm -> histories of the runs that have one."""
        return {
            arm: [self.histories[run.id] for run in runs if self.histories.get(run.id)]
            for arm, runs in self.runs("done", "diverged", "running").items()
        }


def study(
    name: str,
    arms: Arms,
    metrics: Sequence[str],
    plan: Plan | None,
    read: Callable[[str], Record | None],
    history: Callable[[str], History],
    mix: Sequence[str] = (),
    curves: Callable[[str], History] = lambda id: {},
) -> Study:
    """Everything about one ablation. The first metric is the one that arms are compared by.

    read, history, curves: the store's; curves are drawn where there is no history. Raises ReportError where `aggregate`
    refuses to compare the runs.
    """
    records = [record for of in arms.values() for record in present(of)]
    plan = plan or plan_of(name, arms, metrics[0])
    main = keys(metrics[:1], records)[0]
    table = None
    if done := [record for record in records if record.status == "done"]:
        logged = {
            key for run in done for key in (*run.metrics, *run.timing, *(["parameters"] if run.parameters else []))
        }
        shown = [metric for metric in dict.fromkeys(metrics) if metric in logged or metric == metrics[0]]
        table = aggregate_plan(plan, read, shown, mix, exact=False)
    tuning: dict[str, list[Record | None]] = {}
    trials = []
    for cell in plan.tuning:
        record = read(cell.id)
        tuning.setdefault(cell.arm, []).append(record)
        if plan.ablation and record is not None and record.has_result:
            trials.append(_trial(cell, plan.ablation, record))
    for arm, points in plan.kept.items():  # listed beside them: they are compared, but are in no mean of the table
        tuning.setdefault(arm, []).extend(read(cell.id) for cells in points.values() for cell in cells)
    found: Sequence[Finding] = []
    if plan.ablation:
        asked = plan.ablation.hypotheses
        found = table.findings if table and asked else family(plan, read, hypotheses=implied(plan)).findings
    histories = {record.id: history(record.id) for record in records}
    grid = factorial(table, read) if table else Study.grid
    times = times_to_targets(plan, read, lambda id: histories[id] if id in histories else history(id)) if table else ()
    budgets = tuning_budgets(plan, read) if table else None
    drawn = _drawn(arms, histories, curves)
    sampled = any(drawn[id] and not own for id, own in histories.items())
    return Study(name, main, arms, table, plan, drawn, trials, found, tuning, grid, times, budgets, sampled)


def _drawn(arms: Arms, histories: Mapping[str, History], curves: Callable[[str], History]) -> dict[str, History]:
    """The histories, and where there is none its few points. Where some runs of an arm have but these, the others are
    drawn at the same updates, so that means over runs can be made."""
    drawn: dict[str, History] = {}
    for runs in map(present, arms.values()):
        few = {run.id: own for run in runs if not histories[run.id] and (own := curves(run.id))}
        steps = {step for own in few.values() for step in own["step"]}
        for run in runs:
            own = few.get(run.id, histories[run.id])
            if few and run.id not in few and own:
                rows = [row for row, step in enumerate(own["step"]) if step in steps]
                own = {name: [column[row] for row in rows] for name, column in own.items()}
            drawn[run.id] = own
    return drawn


def present(records: Sequence[Record | None], *statuses: str) -> list[Record]:
    """The records that there are, with one of these statuses if any is named."""
    return [record for record in records if record is not None and (not statuses or record.status in statuses)]


def need_runs(studies: Sequence[Study]) -> None:
    """Raises ReportError where no study has a run that has ended: done, diverged or failed."""
    if not any(present(of, "done", "diverged", "failed") for each in studies for of in each.arms.values()):
        name, plan = (studies[0].name, studies[0].plan) if studies else ("this ablation", None)
        raise ReportError(f"{name} has no finished run yet. {how_to_train(plan)}")


def _trial(cell: Cell, ablation: Ablation, record: Record) -> Trial:
    keys = dict.fromkeys([*ablation.tune, *(key for rule in ablation.when for key in rule.tune)])
    point = {key: value for key in keys if (value := cell.composed.at(key)) is not None}
    own = record.metrics.get(ablation.select_on, math.nan) if record.status == "done" else math.nan
    return Trial(cell.arm, point, cell.seed, own, score(record, ablation.select_on), record)


def batch_size(record: Record) -> int | None:
    """Of a run: its choice, or samples / updates where that names none (the last batch of an epoch may be smaller)."""
    for key in ("data.batch_size", "batch_size"):
        given = str(record.choices.get(key, "")).removeprefix("b")
        if given.isdigit():
            return int(given)
    steps, samples = record.timing.get("steps", 0), record.timing.get("samples", 0)
    return round(samples / steps) if steps and samples else None

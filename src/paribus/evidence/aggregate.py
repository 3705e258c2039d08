"""The one aggregate behind every table: arms, their runs, means over seeds, differences from the baseline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from paribus.ablation.findings import Finding, findings, looks_of, score, waits
from paribus.base.metrics import Key
from paribus.evidence.arms import Arms, ReportError, arms_by, how_to_train, is_seed
from paribus.evidence.comparable import factors, held_equal, shared_facts
from paribus.stats.intervals import Mean, mean_interval
from paribus.stats.multiple import holm, not_beaten
from paribus.stats.paired import Difference, paired_difference
from paribus.stats.proportions import Proportion, clopper_pearson
from paribus.stats.sequential import Looks, bounds_level, sequential_difference
from paribus.store.declared import Contradiction, agreed
from paribus.store.record import Record

if TYPE_CHECKING:  # it would import Hydra
    from paribus.ablation.cells import Plan, Read


@dataclass
class Cell:
    """An arm's numbers in one metric.

    values: of each run that is done, by its seed; runs without a finite value are left out.
    at_chance: mean with diverged runs scored at chance; None where none diverged, or chance is not known.
    difference, p_holm: from the baseline over shared seeds; p of the paired t test, adjusted over the arms.
    best: printed bold.
    """

    values: dict[Hashable, float]
    mean: Mean
    at_chance: Mean | None = None
    difference: Difference | None = None
    p_holm: float = math.nan
    best: bool = False


@dataclass
class Row:
    """An arm. Only runs that are done enter its numbers; the others are counted."""

    arm: str
    cells: dict[Key, Cell]
    runs: list[Record]  # done, in the order of their seeds
    diverged: int = 0
    failed: int = 0
    running: int = 0
    missing: int = 0

    @property
    def n(self) -> int:
        return len(self.runs)

    @property
    def divergence(self) -> Proportion:
        """The share of diverged runs among those that came to an end, with its interval."""
        return clopper_pearson(self.diverged, self.n + self.diverged)


@dataclass
class Aggregate:
    """What a table says. The first metric is the one that arms are compared by.

    varied: the choices in which arms differ, but for tuned ones; held: those that all runs make alike.
    facts: semantics, budget, data, world_size, precision, evaluated: their common value, "varies" or "mixed".
    looks: where seeds were added sequentially; p values and intervals pay for it.
    plan, findings: of an ablation: levels and tuned values of its arms, and the verdicts on its hypotheses.
    """

    name: str
    metrics: list[Key]
    rows: list[Row]
    baseline: Row
    level: float = 0.95
    varied: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    looks: Looks | None = None
    plan: Plan | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for row in self.rows for run in row.runs if run.seed is not None})


@np.errstate(over="ignore", invalid="ignore")  # a run that nearly diverged logs 1e300, whose square is inf
def aggregate(
    name: str,
    arms: Arms | Sequence[Record],
    metrics: Sequence[str],
    mix: Sequence[str] = (),
    *,
    by: Sequence[str] | None = None,
    baseline: str | None = None,
    sort: bool = False,
    level: float = 0.95,
    looks: Looks | None = None,
    plan: Plan | None = None,
) -> Aggregate:
    """One row for each arm. plan: of the arms, where they have one.

    arms: label -> records, None for a run that is not trained yet; or records, see `arms_by`.
    metrics: names in a record's metrics or timing, or "parameters".
    mix: facts and choices in which the runs may differ.
    baseline: label of the arm that others are compared with; default the first.
    sort: best arm first instead of the order given.
    looks: where the runs of each arm are in the order in which seeds were added.

    Bold are, in each metric that has a better direction and in which losses are comparable, the arms of at
    least two runs, none of them diverged, that `not_beaten` leaves in the set of those that may be best; none
    of them if that says nothing because it is all.

    Raises ReportError where runs differ in what a table must not mix, for an unknown metric or baseline, for a metric
    that they declare differently, and where nothing is done yet.
    """
    if not isinstance(arms, Mapping):
        arms = arms_by(arms, by, mix)
    metrics = keys(metrics, (record for records in arms.values() for record in records))
    rows = [_row(arm, records, metrics, bounds_level(len(records), looks, level)) for arm, records in arms.items()]
    done = [run for row in rows for run in row.runs]
    if not done:
        ended = [record.status for records in arms.values() for record in records if record is not None]
        counted = ", ".join(f"{ended.count(status)} {status}" for status in dict.fromkeys(sorted(ended)))
        raise ReportError(
            f"{name} has no finished run, and a table needs one"
            + (f" ({counted}). To see the failures: paribus report" if counted else f". {how_to_train(plan)}")
        )
    for metric in metrics:
        if all(math.isnan(_value(run, metric)) for run in done) and not any(metric in _names(run) for run in done):
            known = dict.fromkeys(known for run in done for known in _names(run))
            raise ReportError(f"the runs have not logged the metric {metric}. There are {', '.join(known)}")
    if baseline is not None and baseline not in arms:
        raise ReportError(f"the baseline is one of the arms {', '.join(arms)}, got {baseline}")
    base = next(row for row in rows if baseline in (None, row.arm))
    ran = {arm: [r for r in records if r is not None and r.has_result] for arm, records in arms.items()}
    choices = factors(ran)
    facts = shared_facts(ran, choices, mix)
    for metric in metrics:
        # Losses of different kinds have no common scale, and times depend on what else the machine did.
        if metric.metric.better is not None and not ("loss" in choices and metric.metric.name == "loss"):
            _compare(rows, base, metric, level, looks, arms)
    direction = metrics[0].metric.higher
    if sort and direction is not None:
        sign = -1.0 if direction else 1.0
        rows.sort(key=lambda row: (row.cells[metrics[0]].mean.n == 0, sign * row.cells[metrics[0]].mean.mean))
    return Aggregate(name, metrics, rows, base, level, choices, held_equal(done), facts, looks)


def aggregate_plan(
    plan: Plan,
    read: Read,
    metrics: Sequence[str],
    mix: Sequence[str] = (),
    *,
    baseline: str | None = None,
    sort: bool = False,
    level: float = 0.95,
    judge: bool = True,
) -> Aggregate:
    """The aggregate of an ablation (in one regime) with its findings; see `aggregate`.

    read: the record of a run by its id, None where there is none.
    judge: whether the findings are wanted.
    """
    arms = {arm: [None if cell is None else read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    looks = looks_of(plan.ablation)
    found = aggregate(plan.name, arms, metrics, mix, baseline=baseline, sort=sort, level=level, looks=looks, plan=plan)
    tuned = {key for each in plan.tuned.values() for key in each.point}
    found.varied = [key for key in found.varied if key not in tuned]
    found.plan, found.findings = plan, findings(plan, read, level) if judge else []
    return found


def keys(metrics: Sequence[str], records: Iterable[Record | None]) -> list[Key]:
    """The metrics with what the records declare of them. Raises ReportError where these contradict each other."""
    present = list(records)
    try:
        return [agreed(metric, present) for metric in metrics]
    except Contradiction as error:
        raise ReportError(str(error)) from error


def _row(arm: str, records: Sequence[Record | None], metrics: Sequence[Key], level: float) -> Row:
    present = [record for record in records if record is not None]
    done = sorted((r for r in present if r.status == "done"), key=lambda r: (r.seed is None, r.seed or 0, r.id))
    counts = {status: sum(r.status == status for r in present) for status in ("diverged", "failed", "running")}
    row = Row(arm, {}, done, missing=len(records) - len(present), **counts)
    pairs = _pairing(done)
    for metric in metrics:
        found = zip(pairs, (_value(run, metric) for run in done), strict=True)
        values = {key: value for key, value in found if math.isfinite(value)}
        row.cells[metric] = Cell(values, mean_interval(list(values.values()), level))
        if row.diverged:
            ended = [score(r, metric) for r in present if r.has_result]
            if all(map(math.isfinite, ended)):
                row.cells[metric].at_chance = mean_interval(ended, level)
    return row


def _pairing(runs: Sequence[Record]) -> list[Hashable]:
    """What pairs a run with one of another arm: its seeds, unless several runs of the arm share them."""
    seeds = sorted(filter(is_seed, set().union(*(run.choices for run in runs))))
    keys = [(run.seed, *((key, str(run.choices[key])) for key in seeds if key in run.choices)) for run in runs]
    alike = Counter(keys)
    return [key if alike[key] == 1 else (*key, run.id) for key, run in zip(keys, runs, strict=True)]


def _names(run: Record) -> list[str]:
    return [*run.metrics, *run.timing, "parameters"]


def _value(run: Record, metric: str) -> float:
    if metric == "parameters":
        return math.nan if run.parameters is None else float(run.parameters)
    return float(run.metrics.get(metric, run.timing.get(metric, math.nan)))


def _of_run(run: Record | None, metric: str) -> float:
    return _value(run, metric) if run is not None and run.status == "done" else math.nan


def _compare(rows: Sequence[Row], base: Row, metric: Key, level: float, looks: Looks | None, arms: Arms) -> None:
    others = [row for row in rows if row is not base]
    for row in others:
        if looks is not None:
            sides = [arms[each.arm] for each in (row, base)]
            n = next((k for k, pair in enumerate(zip(*sides, strict=False)) if any(map(waits, pair))), None)
            n = min(map(len, sides)) if n is None else n
            series = [[_of_run(run, metric) for run in side[:n]] for side in sides]
            difference = sequential_difference(series[0], series[1], looks, level)
            row.cells[metric].difference = difference if difference.n >= 2 else None
            continue
        own, theirs = row.cells[metric].values, base.cells[metric].values
        shared = [seed for seed in own if seed in theirs]
        if len(shared) >= 2:
            row.cells[metric].difference = paired_difference(
                [own[s] for s in shared], [theirs[s] for s in shared], level
            )
    compared = [row.cells[metric] for row in others]
    for cell, p in zip(compared, holm([c.difference.p if c.difference else math.nan for c in compared]), strict=True):
        cell.p_holm = p

    candidates = [row.cells[metric] for row in rows if len(row.cells[metric].values) >= 2 and not row.diverged]
    seeds = {seed: column for column, seed in enumerate(dict.fromkeys(s for cell in candidates for s in cell.values))}
    table = np.full((len(candidates), len(seeds)), np.nan)
    for k, cell in enumerate(candidates):
        table[k, [seeds[seed] for seed in cell.values]] = list(cell.values.values())
    share = min(looks.shares) if looks is not None else 1.0
    kept = not_beaten(table if metric.metric.higher else -table, (1 - level) * share)
    if not kept.all():
        for cell, best in zip(candidates, kept, strict=True):
            cell.best = bool(best)

"""Times until runs reach a target: how fast each arm of a plan is, and whether it is faster than the baseline.

A run reaches a target at its first validation there. It got there since the validation before, at an update that nobody
saw: the time is interval-censored. It is counted to the end of the interval, which is late by less than an interval for
every arm that validates as often; intervals of means reach down to the times of the validations before. Runs that do
not get there are censored at the end of their budget. A run that diverges or stops before that is no such run: it would
not have got there with more patience, so it never does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from paribus.ablation.cells import Plan, Read
from paribus.ablation.findings import looks_of
from paribus.ablation.kept import Row, Scored
from paribus.base.metrics import Key
from paribus.stats.multiple import holm
from paribus.stats.sequential import Looks
from paribus.stats.survival import (
    Median,
    RestrictedMean,
    Survival,
    kaplan_meier,
    median,
    paired_logrank,
    restricted_mean,
)
from paribus.store.company import why_not_timed
from paribus.store.record import Record
from paribus.store.scores import waits

History = Mapping[str, Sequence[float]]
Histories = Callable[[str], History]  # of a run, by its id
UNITS = ("updates", "epochs", "samples", "seconds")
_COLUMNS = {"updates": "step", "epochs": "epoch", "seconds": "seconds"}
_EQUAL = 0.01  # budgets that differ by less are equal: the last batches of an epoch may be smaller


@dataclass(frozen=True)
class Way:
    """The way of a run to a target.

    reached: whether it gets there. at: in each unit, when; where it does not get there, the end of its budget, and
    infinite if it never will. since: the validation before, at which it had not got there. end: how far it was trained.
    whole: whether that is its budget.
    """

    record: Record
    reached: bool
    at: Mapping[str, float]
    since: Mapping[str, float]
    end: Mapping[str, float]
    whole: bool

    @property
    def never(self) -> bool:
        return not self.reached and not self.whole


@dataclass(frozen=True)
class ArmTimes:
    """The times of an arm. ways: of its runs in the order of their seeds, None where a run has not ended, is excluded,
    or has no history. means: in each unit. median, curve: in the unit that arms are compared in.

    p: of the log-rank test against the baseline, nan for the baseline; p_holm: adjusted over all arms and targets.
    """

    ways: Sequence[Way | None]
    means: Mapping[str, RestrictedMean]
    median: Median
    curve: Survival
    p: float = math.nan
    p_holm: float = math.nan
    pairs: int = 0

    @property
    def n(self) -> int:
        return sum(way is not None for way in self.ways)

    @property
    def reached(self) -> int:
        return sum(way is not None and way.reached for way in self.ways)

    @property
    def never(self) -> int:
        """How many runs diverged, or stopped before the end of their budget, and had not got there."""
        return sum(way is not None and way.never for way in self.ways)


@dataclass(frozen=True)
class TargetTimes:
    """The times of all arms to one target.

    unit: that arms are compared in: updates, or epochs where budgets are equal in these alone. horizons: in each unit,
    the time to which means are restricted, the smallest budget. baseline: label of its arm. comparisons: how many p
    values are adjusted together. gaps: the smallest and the largest number of updates between validations.
    untimed: why seconds are not compared. missing: runs that have ended and have no history. kept: whether some arm
    is tuned and keeps several points. looks: where seeds are added sequentially.
    """

    metric: Key
    value: float
    unit: str
    arms: Mapping[str, ArmTimes]
    baseline: str
    horizons: Mapping[str, float]
    level: float
    comparisons: int
    gaps: tuple[float, float]
    untimed: str | None = None
    missing: int = 0
    kept: bool = False
    looks: Looks | None = None


def times_to_targets(
    plan: Plan, read: Read, histories: Histories, level: float = 0.95, baseline: str | None = None
) -> list[TargetTimes]:
    """One for each target of the plan's ablation; none where it names none, or no run of the plan has a history.

    baseline: label of the arm that others are compared with; default the first.

    p: arms are compared over the seeds that both have, see `stats.survival.paired_logrank`. A tuned arm must be faster
    than its rival at each point that the rival keeps, as in every comparison (`stats.tuned`). Each look at seeds that
    are added sequentially spends its share of the error, and the smallest p of the looks, divided by its share, counts.
    """
    if plan.ablation is None or not plan.ablation.targets or not plan.arms:
        return []
    scored = Scored(plan, read)
    known: dict[str, History] = {}

    def history(id: str) -> History:
        if id not in known:
            known[id] = histories(id)
        return known[id]

    base = baseline if baseline is not None else next(iter(plan.arms))
    found = [
        each
        for metric, value in plan.ablation.targets.items()
        if (each := _Target(plan, scored, history, metric, value, level).times(base)) is not None
    ]
    p = [arm.p for each in found for arm in each.arms.values()]
    adjusted = iter(holm(p))
    comparisons = sum(not math.isnan(each) for each in p)
    return [
        replace(
            each,
            arms={label: replace(arm, p_holm=next(adjusted)) for label, arm in each.arms.items()},
            comparisons=comparisons,
        )
        for each in found
    ]


def way_of(record: Record | None, history: History, metric: Key, value: float) -> Way | None:
    """None for a run that has not ended or is excluded, and for one whose history lacks the metric."""
    if record is None or not record.has_result or record.excluded is not None:
        return None
    diverged = record.status == "diverged"
    values = history.get(metric, ())
    seen = [k for k, each in enumerate(values) if not math.isnan(each)]
    if not seen and not diverged:
        return None
    end = _end(record, history)
    got = next((k for k in seen if values[k] == value or metric.metric.is_better(values[k], value)), None)
    if got is not None and not diverged:
        before = max((k for k in seen if k < got), default=None)
        since = dict.fromkeys(UNITS, 0.0) if before is None else _at(record, history, before)
        return Way(record, True, _at(record, history, got), since, end, _whole(record, end))
    whole = not diverged and _whole(record, end)
    at = end if whole else dict.fromkeys(UNITS, math.inf)
    return Way(record, False, at, at, end, whole)


def _end(record: Record, history: History) -> dict[str, float]:
    """How far a run was trained, in each unit; nan where nobody knows."""
    last = {unit: max(history.get(column, ()), default=math.nan) for unit, column in _COLUMNS.items()}
    timing = record.timing
    epochs = (timing.get("epochs", math.nan), last["epochs"])  # where batches grow, timing counts by the first
    return {
        "updates": timing.get("steps", last["updates"]),
        "epochs": max((each for each in epochs if each > 0), default=math.nan),
        "samples": timing.get("samples", math.nan),
        "seconds": timing.get("update_seconds", last["seconds"]),
    }


def _at(record: Record, history: History, row: int) -> dict[str, float]:
    """Where a row of the history stands, in each unit."""
    found = {unit: history[column][row] if column in history else math.nan for unit, column in _COLUMNS.items()}
    end = _end(record, history)
    # Samples are proportional to epochs where batches grow, and to updates where an epoch is not finished.
    by = "epochs" if found["epochs"] and end["epochs"] else "updates"
    if _constant(history) and end["updates"]:
        by = "updates"
        if not math.isnan(end["epochs"]):
            found["epochs"] = end["epochs"] * found["updates"] / end["updates"]
    return {**found, "samples": end["samples"] * found[by] / end[by] if end[by] else math.nan}


def _constant(history: History) -> bool:
    """Whether all finished epochs have equally many updates."""
    rows = zip(history.get("step", ()), history.get("epoch", ()), strict=False)
    sizes = [step / epoch for step, epoch in rows if epoch]
    return not sizes or max(sizes) - min(sizes) <= _EQUAL * max(sizes)


def _whole(record: Record, end: Mapping[str, float]) -> bool:
    """Whether a run was trained to the end of its budget, such as "20 epochs"; true where it is not known."""
    amount, _, unit = str(record.comparable.get("budget", "")).partition(" ")
    try:
        return not end.get(unit, math.nan) < float(amount) * (1 - 1e-6)
    except ValueError:
        return True


class _Target:
    """The comparison of a plan's arms by one target."""

    def __init__(self, plan: Plan, scored: Scored, history: Histories, metric: Key, value: float, level: float):
        self.plan, self.scored, self.history = plan, scored, history
        self.metric, self.value, self.level = metric, value, level
        self.looks = looks_of(plan.ablation)
        self.known: dict[str, Way | None] = {}

    def times(self, base: str) -> TargetTimes | None:
        records = {label: self.scored.at(label, len(cells))[0] for label, cells in self.plan.arms.items()}
        ways = {label: self.ways(row) for label, row in records.items()}
        there = [way for row in ways.values() for way in row if way is not None]
        if not there:
            return None
        horizons = _horizons(there)
        if (unit := _unit(there, horizons)) is None:
            return None
        arms = {label: self.arm(row, unit, horizons) for label, row in ways.items()}
        for label in arms:
            if label != base:
                p, pairs = self.p(label, base, unit)
                arms[label] = replace(arms[label], p=p, pairs=pairs)
        every = [record for row in records.values() for record in row if record is not None]
        ended = sum(record.has_result and record.excluded is None for record in every)
        gaps = [way.at["updates"] - way.since["updates"] for way in there if way.reached]
        return TargetTimes(
            self.metric, self.value, unit, arms, base, horizons, self.level, 0,
            (min(gaps, default=math.nan), max(gaps, default=math.nan)), why_not_timed(every), ended - len(there),
            any(len(self.scored.at(label, len(row))[1]) > 1 for label, row in records.items()), self.looks,
        )  # fmt: skip

    def ways(self, row: Row) -> list[Way | None]:
        return [None if record is None else self.way(record) for record in row]

    def way(self, record: Record) -> Way | None:
        if record.id not in self.known:
            history = self.history(record.id) if record.has_result else {}
            self.known[record.id] = way_of(record, history, self.metric, self.value)
        return self.known[record.id]

    def arm(self, row: Sequence[Way | None], unit: str, horizons: Mapping[str, float]) -> ArmTimes:
        level = self.level if self.looks is None else 1 - (1 - self.level) * self.looks.share(len(row))
        ways = [way for way in row if way is not None]
        reached = [way.reached for way in ways]
        means = {
            each: restricted_mean(
                [way.at[each] for way in ways], reached, horizon, level, [way.since[each] for way in ways]
            )
            for each, horizon in horizons.items()
            if ways
        }
        curve = kaplan_meier([way.at[unit] for way in ways], reached, level)
        return ArmTimes(row, means, median(curve), curve)

    def p(self, label: str, base: str, unit: str) -> tuple[float, int]:
        """p against the baseline, and over how many pairs."""
        n = min(len(self.plan.arms[each]) for each in (label, base))
        if self.looks is None:
            return self.p_of(label, base, n, unit)
        rows = [self.scored.row(each) for each in (label, base)]
        n = next((k for k in range(n) if any(waits(row[k]) for row in rows)), n)
        sizes = self.looks.sizes[: self.looks.reached(n)]
        stages = [self.p_of(label, base, size, unit) for size in sizes]
        spent = [p / share for (p, _), share in zip(stages, self.looks.shares, strict=False) if not math.isnan(p)]
        return min([*spent, 1.0]) if spent else math.nan, stages[-1][1] if stages else 0

    def p_of(self, label: str, base: str, size: int, unit: str) -> tuple[float, int]:
        (a, kept_a), (b, kept_b) = (self.scored.at(each, size) for each in (label, base))
        up = [self.faster(a, other, unit) for other in kept_b]
        if len(kept_a) == len(kept_b) == 1:
            return up[0][0], up[0][2]
        down = [self.faster(b, other, unit) for other in kept_a]
        p = min(1.0, 2 * min(max(p for _, p, _ in side) for side in (up, down)))
        return p, min(pairs for _, _, pairs in itertools.chain(up, down))

    def faster(self, a: Row, b: Row, unit: str) -> tuple[float, float, int]:
        """Two-sided p, one-sided p of the first side's not being faster, and the number of pairs."""
        both = zip(self.ways(a), self.ways(b), strict=True)
        pairs = [(own, other) for own, other in both if own is not None and other is not None]
        if len(pairs) < 2:
            return math.nan, math.nan, len(pairs)
        own, other = zip(*pairs, strict=True)
        found = paired_logrank(
            [way.at[unit] for way in own], [way.at[unit] for way in other],
            [way.reached for way in own], [way.reached for way in other],
        )  # fmt: skip
        return found.p, found.p_faster, found.n


def _unit(ways: Sequence[Way], horizons: Mapping[str, float]) -> str | None:
    """The unit that arms are compared in; None where histories tell neither updates nor epochs."""
    known = [unit for unit in ("updates", "epochs") if unit in horizons]
    for unit in known:
        ends = [way.end[unit] for way in ways if way.whole]
        if not ends or max(ends) - min(ends) <= _EQUAL * max(ends):
            return unit
    return next(iter(known), None)


def _horizons(ways: Sequence[Way]) -> dict[str, float]:
    """In each unit that all runs know, the smallest budget; the longest training, where no run reached its end."""
    found = {}
    for unit in UNITS:
        whole = [way.end[unit] for way in ways if way.whole]
        horizon = min(whole) if whole else max(way.end[unit] for way in ways)
        known = all(0 <= way.since[unit] < way.at[unit] < math.inf if way.reached else way.at[unit] > 0 for way in ways)
        if known and 0 < horizon < math.inf:  # not nan
            found[unit] = horizon
    return found

"""The one aggregate behind every table: arms, their runs, means over seeds, differences from the baseline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from paribus.ablation.findings import Finding, family, looks_of
from paribus.ablation.kept import Scored
from paribus.base.metrics import Key, kind, of_test
from paribus.base.typed import typed
from paribus.evidence.arms import Arms, ReportError, arms_by, how_to_train, is_seed
from paribus.evidence.comparable import factors, held_equal, shared_facts
from paribus.stats.choice import Point
from paribus.stats.collapse import Collapses, collapses
from paribus.stats.intervals import Mean, mean_interval
from paribus.stats.multiple import not_beaten
from paribus.stats.paired import Difference, paired_difference
from paribus.stats.proportions import Proportion, clopper_pearson
from paribus.stats.sequential import Looks, paired_stages
from paribus.stats.verdict import Judged, Question, judge
from paribus.store.company import DURATIONS, why_not_timed
from paribus.store.declared import Contradiction, agreed, unlike
from paribus.store.record import Record
from paribus.store.scores import chance, score, waits

if TYPE_CHECKING:  # it would import Hydra
    from paribus.ablation.cells import Plan, Read


@dataclass
class Cell:
    """An arm's numbers in one metric.

    values: of each run that is done, by its seed; runs without a finite value are left out.
    at_chance: mean with diverged runs scored at chance; None where none diverged, or chance is not known.
    difference, p_holm, alpha: from the baseline over shared seeds, with simultaneous bounds; p of the paired t test,
        adjusted over the family; the error of each bound, see `stats.verdict`.
    best: printed bold.
    """

    values: dict[Hashable, float]
    mean: Mean
    at_chance: Mean | None = None
    difference: Difference | None = None
    p_holm: float = math.nan
    alpha: float = math.nan
    best: bool = False


@dataclass
class Row:
    """An arm. Only runs that are done enter its numbers; the others are counted.

    collapses: in the first metric; None where nobody knows what guessing scores in it. excluded: runs that are marked
    as invalid.
    """

    arm: str
    cells: dict[Key, Cell]
    runs: list[Record]  # done, in the order of their seeds
    diverged: int = 0
    failed: int = 0
    running: int = 0
    missing: int = 0
    collapses: Collapses | None = None
    excluded: list[Record] = field(default_factory=list)

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
    comparisons: how many the family has that the differences belong to. untimed: why times are not compared.
    kept: of a tuned arm, the points of its grid that can't be told from the best. lacking: of arms whose kept points
        lack reporting runs, how many.
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
    comparisons: int = 0
    untimed: str | None = None
    kept: dict[str, list[Point]] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)

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
    judged: Mapping[str, Judged] | None = None,
    exact: bool = True,
) -> Aggregate:
    """One row for each arm. plan: of the arms, where they have one.

    arms: label -> records, None for a run that is not trained yet; or records, see `arms_by`.
    metrics: names in a record's metrics or timing, or "parameters".
    mix: facts and choices in which the runs may differ.
    baseline: label of the arm that others are compared with; default the first.
    sort: best arm first instead of the order given.
    looks: where the runs of each arm are in the order in which seeds were added.
    judged: the differences of arms from the baseline in the first metric, where a larger family has them.
    exact: whether the sign-flip test, which takes longest, is wanted of the other metrics too; tables show the first's.

    Bold are, in each metric that has a better direction and in which losses are comparable, the arms of at
    least two runs, none of them diverged, that `not_beaten` leaves in the set of those that may be best; none
    of them if that says nothing because it is all.

    Raises ReportError where runs differ in what a table must not mix, for an unknown metric or baseline, for a metric
    that they declare differently, and where nothing is done yet.
    """
    if not isinstance(arms, Mapping):
        arms = arms_by(arms, by, mix)
    shown = keys(metrics, (record for records in arms.values() for record in records))
    untimed = why_not_timed([record for records in arms.values() for record in records])
    if untimed is not None and shown[0] not in DURATIONS:
        shown = [metric for metric in shown if metric not in DURATIONS]
    rows = [_row(arm, records, shown, _level(len(records), looks, level)) for arm, records in arms.items()]
    done = [run for row in rows for run in row.runs]
    if not done:
        ended = [record.status for records in arms.values() for record in records if record is not None]
        counted = ", ".join(f"{ended.count(status)} {status}" for status in dict.fromkeys(sorted(ended)))
        raise ReportError(
            f"{name} has no finished run, and a table needs one"
            + (f" ({counted}). To see the failures: paribus report" if counted else f". {how_to_train(plan)}")
        )
    for metric in shown:
        if all(math.isnan(_value(run, metric)) for run in done) and not any(metric in _names(run) for run in done):
            known = dict.fromkeys(known for run in done for known in _names(run))
            raise ReportError(
                f"the runs have not logged the metric {metric}. There are {', '.join(known)}"
                + _measured_later(plan, metric)
            )
    if baseline is not None and baseline not in arms:
        raise ReportError(f"the baseline is one of the arms {', '.join(arms)}, got {baseline}")
    base = next(row for row in rows if baseline in (None, row.arm))
    ran = {arm: [r for r in records if r is not None and r.has_result] for arm, records in arms.items()}
    choices = factors(ran)
    facts = shared_facts(ran, choices, mix)
    for metric in shown:
        flipped = exact or metric == shown[0]
        # Losses of different kinds have no common scale, and times depend on what else the machine did.
        timed = metric in DURATIONS and untimed is not None
        if not timed and metric.metric.better is not None and not ("loss" in choices and metric.metric.name == "loss"):
            found = (
                judged
                if judged is not None and metric == shown[0]
                else _judged(rows, base, metric, level, looks, arms, flipped)
            )
            for row in rows:
                if row.arm in found and found[row.arm].difference.n >= 2:
                    cell, own = row.cells[metric], found[row.arm]
                    cell.difference, cell.p_holm, cell.alpha = own.difference, own.verdict.p_zero, own.verdict.alpha
                    if not flipped:
                        cell.difference = replace(own.difference, p_sign_flip=math.nan)
            _embolden(rows, base, metric, level, looks)
    direction = shown[0].metric.higher
    if sort and direction is not None:
        sign = -1.0 if direction else 1.0
        rows.sort(key=lambda row: (row.cells[shown[0]].mean.n == 0, sign * row.cells[shown[0]].mean.mean))
    compared = sum(row.cells[shown[0]].difference is not None for row in rows)
    return Aggregate(
        name, shown, rows, base, level, choices, held_equal(done), facts, looks,
        comparisons=compared, untimed=untimed,
    )  # fmt: skip


def aggregate_plan(
    plan: Plan,
    read: Read,
    metrics: Sequence[str],
    mix: Sequence[str] = (),
    *,
    baseline: str | None = None,
    sort: bool = False,
    level: float = 0.95,
    exact: bool = True,
) -> Aggregate:
    """The aggregate of an ablation (in one regime) with its findings; see `aggregate`.

    read: the record of a run by its id, None where there is none.
    """
    scored, looks = Scored(plan, read), looks_of(plan.ablation)
    arms = {arm: scored.at(arm, len(cells))[0] for arm, cells in plan.arms.items()}
    whole, judged = None, None
    if plan.ablation is not None:
        whole = family(plan, read, level, scored=scored)
        if metrics[0] == plan.ablation.metric and baseline in (None, next(iter(arms), None)):
            judged = whole.arms
    found = aggregate(
        plan.name, arms, metrics, mix,
        baseline=baseline, sort=sort, level=level, looks=looks, plan=plan, judged=judged, exact=exact,
    )  # fmt: skip
    tuned = {key for each in plan.tuned.values() for key in each.point}
    found.varied = [key for key in found.varied if key not in tuned]
    found.kept = {arm: [trials[place][0] for place in scored.kept(arm, len(plan.arms[arm]))[1:]]
                  for arm, each in plan.tuned.items() if (trials := each.trials)}  # fmt: skip
    found.lacking = {arm: lacking for arm, row in arms.items() if (lacking := scored.waiting(arm, len(row)))}
    found.plan, found.findings = plan, whole.findings if whole is not None else []
    if whole is not None and judged is not None:
        found.comparisons = whole.size
        for row in found.rows:  # with their tuning runs
            row.collapses = whole.collapses[row.arm] if row.collapses is not None else None
    return found


def _measured_later(plan: Plan | None, metric: str) -> str:
    """How finished runs get a test metric that they lack."""
    if plan is None or plan.ablation is None or not of_test(metric):
        return ""
    ablation = typed("ablation", plan.ablation.name)
    return f". To test the runs now (a module needs a test_step): paribus evaluate --metrics {kind(metric)} {ablation}"


def keys(metrics: Sequence[str], records: Iterable[Record | None]) -> list[Key]:
    """The metrics with what the records declare of them. Raises ReportError where these contradict each other."""
    present = unlike(records)
    try:
        return [agreed(metric, present) for metric in metrics]
    except Contradiction as error:
        raise ReportError(str(error)) from error


def _row(arm: str, records: Sequence[Record | None], metrics: Sequence[Key], level: float) -> Row:
    every = [record for record in records if record is not None and record.status != "pruned"]  # those are no results
    present = [record for record in every if record.excluded is None]
    done = sorted((r for r in present if r.status == "done"), key=lambda r: (r.seed is None, r.seed or 0, r.id))
    diverged, failed, running = (
        sum(r.status == status for r in present) for status in ("diverged", "failed", "running")
    )
    row = Row(arm, {}, done, diverged, failed, running, len(records) - len(every))
    row.excluded = [record for record in every if record.excluded is not None]
    pairs = _pairing(done)
    guess = next((chance(r, metrics[0]) for r in present if r.has_result), math.nan)
    if math.isfinite(guess):
        row.collapses = collapses([score(r, metrics[0]) for r in present], guess, bool(metrics[0].metric.higher))
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


def _level(n: int, looks: Looks | None, level: float) -> float:
    return level if looks is None else 1 - (1 - level) * looks.share(n)


def _judged(
    rows: Sequence[Row], base: Row, metric: Key, level: float, looks: Looks | None, arms: Arms, exact: bool
) -> dict[str, Judged]:
    """Every row against the baseline, over shared seeds or in the order of the looks: a family of their own."""
    theirs = base.cells[metric].values
    questions = {}
    for row in rows:
        own = row.cells[metric].values
        if row is base:
            continue
        if looks is not None:
            sides = [arms[each.arm] for each in (row, base)]
            n = next((k for k, pair in enumerate(zip(*sides, strict=False)) if any(map(waits, pair))), None)
            n = min(map(len, sides)) if n is None else n
            a, b = ([_of_run(run, metric) for run in side[:n]] for side in sides)
            questions[row.arm] = Question(paired_stages(a, b, looks, exact))
        elif len(shared := [seed for seed in own if seed in theirs]) >= 2:
            difference = paired_difference([own[s] for s in shared], [theirs[s] for s in shared], exact=exact)
            questions[row.arm] = Question([difference])
    return dict(zip(questions, judge(list(questions.values()), level), strict=True))


def _of_run(run: Record | None, metric: str) -> float:
    counts = run is not None and run.status == "done" and run.excluded is None
    return _value(run, metric) if run is not None and counts else math.nan


def _embolden(rows: Sequence[Row], base: Row, metric: Key, level: float, looks: Looks | None) -> None:
    higher = bool(metric.metric.higher)
    candidates = [row for row in rows if len(row.cells[metric].values) >= 2 and not row.diverged]
    seeds = {seed: k for k, seed in enumerate(dict.fromkeys(s for row in candidates for s in row.cells[metric].values))}
    table = np.full((len(candidates), len(seeds)), np.nan)
    for k, row in enumerate(candidates):
        values = row.cells[metric].values
        table[k, [seeds[seed] for seed in values]] = list(values.values())
    share = min(looks.shares) if looks is not None else 1.0
    kept = not_beaten(table if higher else -table, (1 - level) * share)
    # What the table calls worse is never bold. It may say so at another look, or because runs collapsed.
    worse = {id(row) for row in rows if (d := row.cells[metric].difference) and (d.high < 0 if higher else d.low > 0)}
    if any((d := row.cells[metric].difference) and (d.low > 0 if higher else d.high < 0) for row in rows):
        worse.add(id(base))
    kept &= np.array([id(row) not in worse for row in candidates], dtype=bool)
    if not kept.all():
        for row, best in zip(candidates, kept, strict=True):
            row.cells[metric].best = bool(best)

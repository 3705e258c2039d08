"""Verdicts on the hypotheses of a plan, from its records: shared by tables, claims and sequential seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paribus.ablation.cells import Plan, Read
from paribus.ablation.file import Ablation, Hypothesis
from paribus.base.metrics import Key, chance_of
from paribus.stats.multiple import holm
from paribus.stats.paired import Difference, paired_difference
from paribus.stats.sequential import Looks, bounds_level, sequential_difference
from paribus.stats.verdict import SMALLEST, Direction, Verdict, verdict
from paribus.store.declared import agreed
from paribus.store.record import Record

Pairs = tuple[tuple[str, str], ...]  # (arm, versus): labels of what is compared


@dataclass(frozen=True)
class Finding:
    """A hypothesis in one regime, and what the records say about it.

    pairs: labels of the arms that are compared; several where other factors vary as well, each pair alike in those.
    difference: arm minus versus, per seed the mean over pairs, diverged runs at chance. comparisons: how many Holm's
        adjustment counts: all arms with the baseline, and the hypotheses' own that are not among them.
    planned: pairs of runs that there will be; diverged, missing: runs of either side. More seeds can still be added
        where `open`.
    """

    hypothesis: Hypothesis
    regime: str | None
    pairs: Pairs
    difference: Difference
    verdict: Verdict
    comparisons: int
    planned: int
    diverged: int
    missing: int
    cap: int | None = None

    @property
    def open(self) -> bool:
        return self.verdict.outcome == "INCONCLUSIVE"


def findings(plan: Plan, read: Read, level: float = 0.95) -> list[Finding]:
    """One for each hypothesis of the plan's ablation, in their order; none for a plain sweep.

    Holm's adjustment is over one family: every arm against the baseline in the ablation's metric, and whatever else
    the hypotheses compare. Sequential seeds are paid for, see `stats.sequential`.
    """
    return judged(plan, read, plan.ablation.hypotheses, level) if plan.ablation else []


@np.errstate(over="ignore", invalid="ignore")  # a run that nearly diverged logs 1e300, whose square is inf
def judged(plan: Plan, read: Read, hypotheses: Sequence[Hypothesis], level: float = 0.95) -> list[Finding]:
    """The findings on these hypotheses, which need not be the file's own."""
    ablation = plan.ablation
    assert ablation is not None, "hypotheses belong to an ablation"
    scores = _Scores(plan, read)
    looks = looks_of(ablation)
    base = next(iter(plan.arms), None)
    for metric in dict.fromkeys([ablation.metric, *(each.metric for each in hypotheses)]):
        agreed(metric, itertools.chain.from_iterable(scores.records.values()))
    family: dict[tuple[Pairs, str], Difference] = {}
    keys = [(((label, base),), ablation.metric) for label in plan.arms if base is not None and label != base]
    asked = [(matching(plan, each), each.metric) for each in hypotheses]
    for pairs, metric in [*keys, *asked]:
        if ((key := (pairs, metric)) not in family) and pairs:
            reverse = (tuple((b, a) for a, b in pairs), metric)
            if reverse not in family:
                family[key] = scores.difference(pairs, metric, looks, level)
    adjusted = dict(zip(family, holm([each.p for each in family.values()]), strict=True))
    found = []
    for each, (pairs, metric) in zip(hypotheses, asked, strict=True):
        difference = scores.difference(pairs, metric, looks, level)
        p = adjusted.get((pairs, metric), adjusted.get((tuple((b, a) for a, b in pairs), metric), math.nan))
        direction: Direction = "greater" if each.direction == "greater" else "less"
        smallest = each.smallest if each.smallest is not None else ablation.smallest_effect or SMALLEST
        outcome = verdict(difference, p, smallest, direction, level, bounds_level(scores.seeds(pairs), looks, level))
        labels = list(dict.fromkeys(label for pair in pairs for label in pair))
        found.append(
            Finding(
                each, ablation.regime, pairs, difference, outcome, len(family), scores.seeds(pairs),
                sum(scores.count(label, "diverged") for label in labels),
                sum(scores.count(label, "missing") for label in labels),
                looks.cap if looks else None,
            )
        )  # fmt: skip
    return found


def looks_of(ablation: Ablation | None) -> Looks | None:
    """When the data are looked at, where seeds are added sequentially."""
    return Looks(ablation.seeds.looks) if ablation is not None and ablation.seeds.looks else None


def implied(plan: Plan) -> list[Hypothesis]:
    """What an ablation without hypotheses asks: whether each arm is better than the baseline."""
    ablation = plan.ablation
    assert ablation is not None
    labels = list(plan.arms)
    if not labels or ablation.hypotheses:
        return list(ablation.hypotheses)
    if ablation.metric.metric.better is None:  # nothing is better in a metric without a direction
        return []
    direction = "greater" if ablation.metric.metric.higher else "less"
    base = plan.levels[labels[0]]
    return [
        Hypothesis(label, f"{label} is better than {labels[0]}", plan.levels[label], base, direction, ablation.metric)
        for label in labels[1:]
    ]


def matching(plan: Plan, hypothesis: Hypothesis) -> Pairs:
    """The pairs of arms that a hypothesis compares, alike in every factor that it does not name.

    A factor that only one side names has the baseline's level on the other.
    """
    if not plan.levels:
        return ()
    base = next(iter(plan.levels.values()))
    named = {*hypothesis.arm, *hypothesis.versus}
    both = {
        side: {name: wanted.get(name, base.get(name)) for name in named}
        for side, wanted in (("arm", hypothesis.arm), ("versus", hypothesis.versus))
    }

    def side(which: str) -> dict[tuple[tuple[str, str], ...], str]:
        found: dict[tuple[tuple[str, str], ...], str] = {}
        for label, levels in plan.levels.items():
            if all(levels.get(name) == level for name, level in both[which].items()):
                found.setdefault(tuple(item for item in levels.items() if item[0] not in named), label)
        return found

    arms, others = side("arm"), side("versus")
    return tuple((label, others[rest]) for rest, label in arms.items() if rest in others)


def score(record: Record | None, metric: str) -> float:
    """The metric of a run; of a diverged one what guessing scores, or the worst if that is not known; nan for none."""
    if record is None or not record.has_result:
        return math.nan
    value = record.metrics.get(metric, record.timing.get(metric, math.nan))
    if record.status == "done" and math.isfinite(value):
        return value
    declared = record.declaration(metric) or (metric.metric if isinstance(metric, Key) else None)
    if declared is None or declared.better is None or (record.status == "done" and metric not in record.metrics):
        return math.nan
    guess = chance_of(declared.chance, record.classes)
    return guess if guess is not None else -math.inf if declared.higher else math.inf


def waits(record: Record | None) -> bool:
    """Whether a run still has to come to its end."""
    return record is None or record.status == "running"


class _Scores:
    """The scores of a plan's arms in the order of their seeds, each read once."""

    def __init__(self, plan: Plan, read: Read):
        self.records: Mapping[str, list[Record | None]] = {
            label: [None if cell is None else read(cell.id) for cell in cells] for label, cells in plan.arms.items()
        }

    def seeds(self, pairs: Pairs) -> int:
        return min((len(self.records[label]) for pair in pairs for label in pair), default=0)

    def difference(self, pairs: Pairs, metric: str, looks: Looks | None, level: float) -> Difference:
        n = self.seeds(pairs)
        if looks is not None:  # a look happens when its runs are over
            rows = [self.records[label][:n] for pair in pairs for label in pair]
            n = next((k for k in range(n) if any(waits(row[k]) for row in rows)), n)
        if not n:
            return paired_difference([], [], level)
        sides = [
            np.mean([[score(r, metric) for r in self.records[pair[side]][:n]] for pair in pairs], axis=0)
            for side in (0, 1)
        ]
        if looks is not None:
            return sequential_difference(sides[0], sides[1], looks, level)
        with np.errstate(invalid="ignore"):
            there = ~np.isnan(sides[0] - sides[1])
        return paired_difference(sides[0][there], sides[1][there], level, exact=False)

    def count(self, label: str, what: str) -> int:
        records = self.records[label]
        if what == "diverged":
            return sum(r is not None and r.status == "diverged" for r in records)
        return sum(r is None or not r.has_result for r in records)

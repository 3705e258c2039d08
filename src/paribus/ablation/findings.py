"""Verdicts on the hypotheses of a plan, from its records: shared by tables, claims and sequential seeds."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from paribus.ablation.cells import Plan, Read
from paribus.ablation.file import SPLIT, Ablation, Hypothesis
from paribus.ablation.kept import Row, Scored
from paribus.base.metrics import Key
from paribus.stats.collapse import Collapses, collapses, falls
from paribus.stats.paired import Difference, with_falls
from paribus.stats.sequential import Looks, stages
from paribus.stats.tuned import tuned_difference
from paribus.stats.verdict import SMALLEST, Direction, Judged, Question, Verdict, judge
from paribus.store.company import DURATIONS, why_not_timed
from paribus.store.declared import agreed, unlike
from paribus.store.scores import chance, diverged, score, waits

Pairs = tuple[tuple[str, str], ...]  # (arm, versus): labels of what is compared


@dataclass(frozen=True)
class Finding:
    """A hypothesis in one regime, and what the records say about it.

    pairs: labels of the arms that are compared; several where other factors vary as well, each pair alike in those.
    difference: arm minus versus, per seed the mean over pairs, diverged runs at chance, with the bounds that decided.
    comparisons: how many the family has. planned: pairs of runs that there will be; diverged, missing: runs of either
        side. first: the difference at the first look. collapses: of each arm. lacking: of arms
        whose kept points lack runs, how many; the luck of tuning is in no interval then. More seeds can be added where
        `open`.
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
    first: Difference
    cap: int | None = None
    collapses: Mapping[str, Collapses] = field(default_factory=dict)
    lacking: Mapping[str, int] = field(default_factory=dict)
    ablation: str = ""

    @property
    def open(self) -> bool:
        return self.verdict.outcome == "INCONCLUSIVE"


@dataclass(frozen=True)
class Family:
    """All comparisons of a plan whose error is controlled together, see `stats.verdict`: those of the hypotheses, and
    of every arm with the baseline in the ablation's metric. Tables and verdicts print the numbers of one family.

    findings: one for each hypothesis. arms: arm minus baseline, of every arm but the baseline. size: comparisons.
    collapses: of each arm, in the ablation's metric.
    """

    findings: list[Finding]
    arms: dict[str, Judged]
    size: int
    collapses: dict[str, Collapses]


def findings(plan: Plan, read: Read, level: float = 0.95) -> list[Finding]:
    """One for each hypothesis of the plan's ablation, in their order; none for a plain sweep."""
    return family(plan, read, level).findings if plan.ablation and plan.ablation.hypotheses else []


@np.errstate(over="ignore", invalid="ignore")  # a run that nearly diverged logs 1e300, whose square is inf
def family(
    plan: Plan,
    read: Read,
    level: float = 0.95,
    hypotheses: Sequence[Hypothesis] | None = None,
    scored: Scored | None = None,
) -> Family:
    """The family of a plan. hypotheses: default those of its ablation. scored: its runs, where they are known."""
    ablation = plan.ablation
    assert ablation is not None, "hypotheses belong to an ablation"
    scores, looks, base = _Scores(plan, scored or Scored(plan, read)), looks_of(ablation), next(iter(plan.arms), "")
    asked = [(each, matching(plan, each)) for each in (ablation.hypotheses if hypotheses is None else hypotheses)]
    declaring = unlike(itertools.chain.from_iterable(scores.records.values()))
    for metric in dict.fromkeys([ablation.metric, *(each.metric for each, _ in asked)]):
        agreed(metric, declaring)
    questions = {}
    for each, pairs in asked:
        direction: Direction = "greater" if each.direction == "greater" else "less"
        smallest = each.smallest if each.smallest is not None else smallest_of(ablation)
        stages = scores.stages(pairs, each.metric, looks)
        questions[pairs, each.metric, each.id] = Question(stages, direction, smallest)
    claimed = {(pairs, metric): (pairs, metric, id) for pairs, metric, id in questions}
    own = {}
    for label in (label for label in plan.arms if label != base):
        pair, turned = ((label, base),), ((base, label),)
        key = claimed.get((pair, ablation.metric)) or claimed.get((turned, ablation.metric))
        own[label] = key = key or (pair, ablation.metric, "")
        questions.setdefault(key, Question(scores.stages(pair, ablation.metric, looks)))
    asking = {key: question for key, question in questions.items() if key[0]}
    judged = dict(zip(asking, judge(list(asking.values()), level), strict=True))
    found = []
    for (each, pairs), question in zip(asked, questions.items(), strict=False):
        said = judged.get(question[0]) or judge([question[1]], level)[0]
        labels = list(dict.fromkeys(label for pair in pairs for label in pair))
        found.append(
            Finding(
                each, ablation.regime, pairs, said.difference, said.verdict, len(asking), scores.seeds(pairs),
                sum(diverged(run, each.metric) for label in labels for run in scores.records[label] if run is not None),
                sum(map(scores.missing, labels)),
                next(iter(question[1].stages), said.difference),
                looks.cap if looks else None,
                {label: scores.collapses(label, each.metric) for label in labels},
                {label: n for label in labels if (n := scores.scored.waiting(label, len(scores.records[label])))},
                ablation.name,
            )
        )  # fmt: skip
    arms = {
        label: judged[key] if key[0][0][0] == label else replace(judged[key], difference=judged[key].difference.turned)
        for label, key in own.items()
    }
    return Family(found, arms, len(asking), {label: scores.collapses(label, ablation.metric) for label in plan.arms})


def looks_of(ablation: Ablation | None) -> Looks | None:
    """When the data are looked at, where seeds are added sequentially."""
    seeds = ablation.seeds if ablation is not None else None
    return Looks(seeds.looks, seeds.shares) if seeds and seeds.looks else None


def smallest_of(ablation: Ablation) -> float:
    """The smallest effect of interest, in the unit of the ablation's metric."""
    return ablation.smallest_effect or SMALLEST


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


class _Scores:
    """The scores of a plan's arms in the order of their seeds."""

    def __init__(self, plan: Plan, scored: Scored):
        self.scored = scored
        self.records: Mapping[str, Row] = {label: self.scored.row(label) for label in plan.arms}
        self.splits = plan.ablation is not None and SPLIT in plan.ablation.seeds.vary
        self.sides = functools.cache(self._sides)  # of the baseline, for each arm
        self.collapses = functools.cache(self._collapses)

    def seeds(self, pairs: Pairs) -> int:
        return min((len(self.records[label]) for pair in pairs for label in pair), default=0)

    def stages(self, pairs: Pairs, metric: Key, looks: Looks | None) -> list[Difference]:
        """The difference at each look that is over: when its runs are."""
        n = self.seeds(pairs)
        every = [run for pair in pairs for label in pair for run in self.records[label]]
        if metric in DURATIONS and why_not_timed(every):
            return []
        if looks is not None:
            rows = [self.records[label][:n] for pair in pairs for label in pair]
            n = next((k for k in range(n) if any(waits(row[k]) for row in rows)), n)
        return stages(n, looks, lambda size: self.difference(pairs, metric, size)) if n else []

    def difference(self, pairs: Pairs, metric: Key, size: int) -> Difference:
        arms = [[self.sides(pair[side], metric, size) for pair in pairs] for side in (0, 1)]
        (a, kept_a), (b, kept_b) = [([own for own, _ in each], [kept for _, kept in each]) for each in arms]
        there = ~np.isnan([*a, *b, *itertools.chain.from_iterable([*kept_a, *kept_b])]).any(axis=0)
        if not there.all():
            a, b = [each[there] for each in a], [each[there] for each in b]
            kept_a, kept_b = [each[:, there] for each in kept_a], [each[:, there] for each in kept_b]
        ratio = self.scored.ratio(label for pair in pairs for label in pair) if self.splits else 0.0
        found = tuned_difference(a, b, kept_a, kept_b, ratio=ratio)
        arm, versus = (
            max((self.collapses(pair[side], metric, size) for pair in pairs), key=lambda each: abs(each.deepest))
            for side in (0, 1)
        )
        if not arm.count and not versus.count:
            return found
        typical = float(np.median(np.mean(a, axis=0) - np.mean(b, axis=0))) if there.any() else math.nan
        return with_falls(found, falls(typical, arm, versus, len(pairs)))

    def _sides(self, label: str, metric: Key, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The scores of an arm's first `size` seeds, cross-fitted (n,) and at every kept point (K, n)."""
        chosen, rows = self.scored.at(label, size)
        kept = np.array([[score(r, metric) for r in row] for row in rows])
        return (kept[0] if len(rows) == 1 else np.array([score(r, metric) for r in chosen])), kept

    def _collapses(self, label: str, metric: Key, size: int | None = None) -> Collapses:
        """Of the first `size` reporting runs, and of the tuning runs, at every point at which a seed is scored; without
        a size, of all runs at the best point."""
        if size is None and label not in self.scored.plan.tuned:
            return self.collapses(label, metric, len(self.records[label]))
        n = len(self.records[label]) if size is None else size
        points = self.scored.kept(label, n)[:1] if size is None else self.scored.chosen(label, n)
        runs = [run for point in points for run in self.scored.trial(label, point) if run is not None]
        runs += [run for point in points for run in self.scored.row(label, point)[:n] if run is not None]
        guess = next((chance(run, metric) for run in runs if run.has_result), math.nan)
        return collapses([score(run, metric) for run in runs], guess, bool(metric.metric.higher))

    def missing(self, label: str) -> int:
        return sum(r is None or not r.has_result or r.excluded is not None for r in self.records[label])

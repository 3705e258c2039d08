"""Our own runs of an option, for its card: sensitivity to what is tuned, time to a target, the claims about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from paribus.ablation.cells import Cell, Plan
from paribus.evidence.targets import times_to_targets
from paribus.notes.pages import picture
from paribus.notes.pages.results import Results
from paribus.report.numbers import name as name_of
from paribus.report.numbers import scale, text, title
from paribus.report.packed import Shipped
from paribus.store.scores import score

ALONE = ("one_factor", "grid")  # designs in which an arm differs from others in its levels alone
FEWEST = 3  # values of a tuned key, from which on there is a curve


@dataclass(frozen=True)
class Sensitivity:
    """The tuning of an ablation: for each arm the mean score at each value, and the value that was kept.

    At each value stands the best point over the other keys that are tuned.
    """

    plan: Plan
    key: str
    scores: dict[str, list[tuple[float, float]]]
    kept: dict[str, float]

    def arms_of(self, group: str, option: str) -> list[str]:
        return [arm for arm in self.scores if self.plan.levels[arm].get(group) == option]


def claims_of(results: Results, group: str, option: str) -> list[str]:
    """The ids of the claims that set the option against another one of its group."""
    found = []
    for id in results.lines:
        if (claim := results.claims.get(id)) is not None:
            hypothesis = claim.findings[0].hypothesis
            ends = hypothesis.arm.get(group), hypothesis.versus.get(group)
            if option in ends and ends[0] != ends[1]:
                found.append(id)
    return found


def all_tuned(shipped: Shipped) -> Sequence[Sensitivity]:
    """Of each ablation that tunes numbers; those that change an arm bit by bit (path, leave_one_out) don't count."""
    plans = (plan for plans in shipped.plans.values() for plan in plans)
    return [found for plan in plans if (found := _tuned(shipped, plan)) is not None]


def sensitivity(tuned: Sequence[Sensitivity], group: str, option: str) -> Sensitivity | None:
    """Of the ablation that tried most values with the option; None where it was tuned in none, or no other option."""
    best: Sensitivity | None = None
    for found in tuned:
        own = found.arms_of(group, option)
        if not own or len(own) == len(found.scores):
            continue
        if best is None or _rank(found, group, option) > _rank(best, group, option):
            best = found
    return best


def draw(found: Sensitivity, group: str, option: str) -> str:
    """The picture: the option in colour, the other arms in grey. Values grow by factors."""
    own = found.arms_of(group, option)
    metric = found.plan.ablation.select_on if found.plan.ablation else None
    assert metric is not None, "only an ablation is tuned"
    said = {
        arm: ", ".join(level for key, level in found.plan.levels[arm].items() if key != group) or option for arm in own
    }
    lines = {said[arm]: found.scores[arm] for arm in own}
    kept = {said[arm]: value for arm, value in found.kept.items() if arm in said}
    others = [line for arm, line in found.scores.items() if arm not in own]
    labels = (f"{found.key} (large dots: kept)", title(metric))
    about = f"{found.plan.name}: {name_of(metric)} over {found.key} with {group}={option}"
    return picture.curves(lines, others, labels, about, kept)


def speeds(shipped: Shipped, group: str, option: str) -> Iterator[tuple[str, str, str, str]]:
    """(ablation, target, arm, epochs to it): where the histories of two arms or more were packed, and these are not all
    as quick, as where all arrive by the first validation.

    The target is what all of them reach on average: the worst mean of the metric that is selected on, at the end.
    """
    for plan in (plan for plans in shipped.plans.values() for plan in plans):
        known = {
            arm: [cell for cell in cells if cell is not None and shipped.curve(cell.id)]
            for arm, cells in plan.arms.items()
        }
        arms: dict[str, list[Cell | None]] = {arm: [*cells] for arm, cells in known.items() if len(cells) > 1}
        if plan.ablation is None or len(arms) < 2 or not any(plan.levels[arm].get(group) == option for arm in arms):
            continue
        metric = plan.ablation.select_on
        ends = [[score(shipped.record(c.id), metric) for c in cells if c] for cells in arms.values()]
        worst = (min if metric.metric.higher else max)(float(np.mean(each)) for each in ends)
        value = _easier(worst, bool(metric.metric.higher))
        asked = replace(plan, arms=arms, ablation=replace(plan.ablation, targets={metric: value}), kept={})
        for times in times_to_targets(asked, shipped.record, shipped.curve):
            target = f"{title(metric)} {text(value * scale(metric), 0 if scale(metric) > 1 else 3)}"
            found = {arm: each.means.get("epochs") for arm, each in times.arms.items()}
            means = {arm: mean for arm, mean in found.items() if mean is not None and math.isfinite(mean.mean)}
            if len({(mean.mean, mean.low, mean.high) for mean in means.values()}) < 2:
                continue
            for arm, mean in means.items():
                epochs = f"{text(mean.mean, 1)} ({text(mean.low, 1)} to {text(mean.high, 1)}), n = {mean.n}"
                yield plan.name, target, arm, epochs


def _easier(value: float, higher: bool) -> float:
    """Rounded to two digits, towards what is easier to reach."""
    digit = 10.0 ** (math.floor(math.log10(abs(value))) - 1) if value else 1.0
    return float(f"{(math.floor if higher else math.ceil)(value / digit) * digit:.2g}")


def _tuned(shipped: Shipped, plan: Plan) -> Sensitivity | None:
    if plan.ablation is None or plan.ablation.design not in ALONE or not plan.tuned:
        return None
    numbers: dict[str, set[float]] = {}
    for tuned in plan.tuned.values():
        for point, _ in tuned.trials:
            for key, value in point.items():
                if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                    numbers.setdefault(key, set()).add(float(value))
    key = max(numbers, key=lambda each: len(numbers[each]), default="")
    if len(numbers.get(key, ())) < FEWEST:
        return None
    metric = plan.ablation.select_on
    factor, best = scale(metric), (max if metric.metric.higher else min)
    scores: dict[str, list[tuple[float, float]]] = {}
    for arm, tuned in plan.tuned.items():
        at: dict[float, list[float]] = {}
        for point, ids in tuned.trials:
            own = [score(shipped.record(id), metric) for id in ids]
            if key in point and own and all(map(math.isfinite, own)):
                at.setdefault(float(point[key]), []).append(factor * float(np.mean(own)))
        if len(at) >= FEWEST:
            scores[arm] = [(value, best(means)) for value, means in sorted(at.items())]
    kept = {arm: float(tuned.point[key]) for arm, tuned in plan.tuned.items() if key in tuned.point}
    return Sensitivity(plan, key, scores, kept) if scores else None


def _rank(found: Sensitivity, group: str, option: str) -> tuple[int, int]:
    """More values first, then fewer arms with the option, which are easier to tell apart."""
    own = found.arms_of(group, option)
    return max(len(found.scores[arm]) for arm in own), -len(own)

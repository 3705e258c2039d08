"""The grid of an ablation, decomposed by its factors: which of them matters, and whether they interact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from paribus.ablation.cells import Plan, Read
from paribus.ablation.file import SPLIT
from paribus.ablation.kept import Scored
from paribus.base.metrics import Key
from paribus.evidence.aggregate import Aggregate
from paribus.stats.factors import Contrast, Decomposition, decompose, largest_contrast
from paribus.store.company import DURATIONS
from paribus.store.scores import score

LARGEST = 1e100  # whose squares and their sums are still numbers


@dataclass(frozen=True)
class Factorial:
    """A grid with the scores of its runs, and what its factors contribute.

    factors: name -> levels, of those that vary. places: (C, m), the level of each factor at each arm.
    scores: (n, C), of the seeds that have a run at every arm; diverged runs are scored at chance. Of a tuned arm they
        have the mean of the table and the spread of the runs at the winner.
    contrasts: of each effect of `found`, in its order. planned: how many seeds there are to be; at the first look,
        where seeds are added sequentially.
    collapsed: arms of which a run collapsed. full: whether the grid has every arm.
    """

    name: str
    metric: Key
    factors: Mapping[str, tuple[str, ...]]
    places: np.ndarray
    scores: np.ndarray
    found: Decomposition
    contrasts: list[Contrast | None]
    level: float
    planned: int
    collapsed: tuple[str, ...] = ()
    full: bool = True


def varying(plan: Plan | None) -> dict[str, tuple[str, ...]]:
    """The factors of a grid that have two levels or more, with these; none of other designs."""
    if plan is None or plan.ablation is None or plan.ablation.design != "grid":
        return {}
    names = dict.fromkeys(name for levels in plan.levels.values() for name in levels)
    found = {name: tuple(dict.fromkeys(levels[name] for levels in plan.levels.values())) for name in names}
    return {name: levels for name, levels in found.items() if len(levels) > 1}


@np.errstate(over="ignore", invalid="ignore")
def factorial(table: Aggregate, read: Read) -> Factorial | str:
    """The decomposition of the table's grid in its first metric, or why there is none, in a sentence.

    The seeds of the first look alone are taken where seeds are added sequentially: later ones are there only where an
    earlier look left a verdict open. The mean of an arm that was tuned is that of the table, and it may be wrong by as
    much as the means at other kept points are away, see `stats.tuned`.
    """
    plan, metric = table.plan, table.metrics[0]
    factors = varying(plan)
    if plan is None or plan.ablation is None or len(factors) < 2:
        return "the design is not a grid of two or more factors (ablation.design)"
    if metric in DURATIONS and table.untimed is not None:
        return f"times are not compared: {table.untimed}"
    if metric.metric.name == "loss" and "loss" in table.varied:
        return "losses of different kinds have no common scale"
    scored, looks = Scored(plan, read), plan.ablation.seeds.looks
    planned = min(*map(len, plan.arms.values()), *looks[:1])
    arms = [scored.at(arm, planned) for arm in plan.arms]
    chosen = np.array([[score(record, metric) for record in row] for row, _ in arms]).T.reshape(planned, -1)
    kept = [np.array([[score(record, metric) for record in row] for row in rows]) for _, rows in arms]
    whole = ~np.isnan(np.vstack([chosen.T, *kept])).any(0)
    chosen, kept = chosen[whole], [rows[:, whole] for rows in kept]
    if len(chosen) < 2:
        return "fewer than two seeds have a finished run at every arm"
    if not all((np.abs(rows) < LARGEST).all() for rows in kept):
        return "runs diverged, and what guessing scores is not known"
    places = np.array([[of.index(plan.levels[arm][name]) for name, of in factors.items()] for arm in plan.arms])
    if len({tuple(place) for place in places.tolist()}) < len(places):
        return "arms differ in something that is no factor"
    ratio = scored.ratio(plan.arms) if SPLIT in plan.ablation.seeds.vary else 0.0
    slack = np.array([np.abs(rows.mean(1) - mean).max() for rows, mean in zip(kept, chosen.mean(0), strict=True)])
    tuned = slack if any(len(rows) > 1 for rows in kept) else None
    if tuned is not None:  # the choice of each seed's point by the other seeds would hide noise
        winners = np.array([rows[0] for rows in kept]).T
        chosen = winners - winners.mean(0) + chosen.mean(0)
    found = decompose(chosen, places, table.level, ratio, tuned)
    return Factorial(
        plan.name, metric, factors, places, chosen, found,
        [largest_contrast(chosen, places, each.term, table.level, ratio, tuned) for each in found.effects],
        table.level, planned,
        tuple(row.arm for row in table.rows if row.collapses is not None and row.collapses.count),
        math.prod(map(len, factors.values())) == len(places),
    )  # fmt: skip

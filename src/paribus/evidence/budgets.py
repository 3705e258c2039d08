"""Budgets for tuning: what each arm gives after k of its trials, and who is ahead, see `stats.budgets`.

The tuning runs tell it, which have their test metrics too, so it costs no run. A trial is chosen by the metric that
tuning selects on, and the metric that arms are compared by is reported of it, by another seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from paribus.ablation.cells import Plan, Read
from paribus.base.metrics import Key
from paribus.stats.budgets import LEAST_SEEDS, LEAST_TRIALS, After, Search, after, budgets, search
from paribus.stats.multiple import holm
from paribus.store.company import DURATIONS
from paribus.store.record import Record
from paribus.store.scores import chance, score


@dataclass(frozen=True)
class Gap:
    """An arm minus the baseline after k trials. p_holm: adjusted over all arms and numbers of trials."""

    gap: After
    p_holm: float


@dataclass(frozen=True)
class ArmBudget:
    """curve: of k = 1, 2, ... trials, with bands up to half of them. gaps: from the baseline, by the number of trials;
    none of the baseline."""

    curve: list[After]
    gaps: Mapping[int, Gap]


@dataclass(frozen=True)
class Budgets:
    """The curves of all arms. trials: that each has tried; seeds: of each trial. comparisons: how many p values are
    adjusted together. without: why there are no bands and tests, where there are none."""

    metric: Key
    select_on: Key
    arms: Mapping[str, ArmBudget]
    baseline: str
    trials: int
    seeds: int
    level: float
    comparisons: int = 0
    without: str | None = None

    def ahead(self, arm: str) -> list[tuple[list[int], str]]:
        """Which of an arm and the baseline is ahead, at which numbers of trials; neighbours that agree together."""
        found: list[tuple[list[int], str]] = []
        last = None
        for k, each in self.arms[arm].gaps.items():
            leads = None
            if each.p_holm <= 1 - self.level:
                better = (each.gap.mean > 0) == bool(self.metric.metric.higher)
                leads = arm if better else self.baseline
                if leads == last:
                    found[-1][0].append(k)
                else:
                    found.append(([k], leads))
            last = leads
        return found


def tuning_budgets(plan: Plan, read: Read, level: float = 0.95, baseline: str | None = None) -> Budgets | None:
    """The curves of a plan whose arms draw trials; None where they have a grid, which is no sample of anything, and
    where halving leaves the good ones; while fewer than two arms are tuned, and where nobody knows how good the metric
    is of a run that diverged.

    baseline: label of the arm that others are compared with; default the first.
    """
    ablation = plan.ablation
    if ablation is None or ablation.search is None or ablation.search.halving or ablation.metric in DURATIONS:
        return None
    metric, select_on = ablation.metric, ablation.select_on
    found: dict[str, Search] = {}
    for arm, tuned in plan.tuned.items():
        rows = [[read(id) for id in ids] for _, ids in tuned.trials]
        select, value = (_scores(rows, of) for of in (select_on, metric))
        if rows and np.isfinite(select).all() and np.isfinite(value).all():
            found[arm] = search(select if select_on.metric.higher else -select, value)
    base = baseline if baseline is not None else next(iter(plan.arms), "")
    if base not in found or len(found) < 2 or metric.metric.better is None:
        return None
    trials, seeds = found[base].trials, len(found[base].seeds)
    without = _without(ablation.search.sampler, trials, seeds)
    tested = [] if without else budgets(trials)
    gaps = {arm: [after(each - found[base], k, level) for k in tested] for arm, each in found.items() if arm != base}
    adjusted = iter(holm([each.p for of in gaps.values() for each in of]))
    arms = {}
    for arm, each in found.items():
        curve = [after(each, k, level) for k in range(1, trials + 1)]
        shown = [one if one.k <= trials // 2 and not without else _bare(one) for one in curve]
        arms[arm] = ArmBudget(shown, {gap.k: Gap(gap, next(adjusted)) for gap in gaps.get(arm, ())})
    return Budgets(metric, select_on, arms, base, trials, seeds, level, sum(map(len, gaps.values())), without)


def _without(sampler: str, trials: int, seeds: int) -> str | None:
    """Why nothing tells the luck of these trials."""
    if sampler != "sobol":
        return "bands hold for Sobol trials only: where few random ones decide, they would be too narrow"
    if trials < LEAST_TRIALS:
        return f"bands need {LEAST_TRIALS} trials or more, and there are {trials}"
    return f"bands need {LEAST_SEEDS} tuning seeds or more, and there are {seeds}" if seeds < LEAST_SEEDS else None


def _scores(rows: list[list[Record | None]], metric: Key) -> np.ndarray:
    """(trials, seeds); runs that diverged or are excluded have what guessing scores."""
    return np.array([[_score(record, metric) for record in row] for row in rows])


def _score(record: Record | None, metric: Key) -> float:
    if record is None:
        return math.nan
    own = score(record, metric)
    return chance(record, metric) if math.isnan(own) and record.excluded is not None else own


def _bare(each: After) -> After:
    return After(each.k, each.mean, math.nan, math.nan, math.nan)

"""The arms of an ablation over its regimes, where these are many enough to be a sample of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from paribus.ablation.findings import smallest_of
from paribus.base.metrics import Key
from paribus.evidence.aggregate import Aggregate
from paribus.stats.practical import Practical, over_data_sets
from paribus.stats.ranks import FEWEST, Ranks, ranked


@dataclass(frozen=True)
class Across:
    """What the regimes say of arms that all of them have.

    scores: (n, K) the mean of each arm in each regime, diverged runs at chance, as recorded.
    practical: of each arm but the baseline, that it is better (`above`), practically the same, or worse. smallest: the
        smallest effect of interest. Empty and None where the metric is not that of the ablation.
    """

    name: str
    metric: Key
    arms: tuple[str, ...]
    regimes: tuple[str, ...]
    scores: np.ndarray
    ranks: Ranks
    baseline: str = ""
    smallest: float | None = None
    practical: Mapping[str, Practical] = field(default_factory=dict)


def across(tables: Sequence[Aggregate]) -> Across | str:
    """Mean ranks of the arms over the regimes of an ablation, or why there are none, in a sentence.

    tables: of each regime, or of each data set of the command line. With fewer than `FEWEST` no two arms could differ.
    """
    ablations = [table.plan.ablation for table in tables if table.plan is not None and table.plan.ablation is not None]
    if len(ablations) < FEWEST or len({each.name for each in ablations}) > 1:
        return f"arms are ranked over {FEWEST} regimes or data sets, or more (ablation.regimes, or data=A,B,...)"
    metric = tables[0].metrics[0]
    if metric.metric.better is None:
        return f"neither direction of {metric} is better"
    rows = [{row.arm: row.cells[metric] for row in table.rows} for table in tables]
    arms = tuple(arm for arm in rows[0] if all(arm in of for of in rows))
    if len(arms) < 2:
        return "the regimes have no two arms in common"
    means = [[(of[arm].at_chance or of[arm].mean).mean for arm in arms] for of in rows]
    scores = np.array(means)
    if not np.isfinite(scores).all():
        return "some arm has no finished run in some regime"
    regimes = tuple(each.regime or table.name for each, table in zip(ablations, tables, strict=True))
    if len(set(regimes)) < len(regimes):  # a command line crossed them with data sets
        regimes = tuple(table.name for table in tables)
    sign = 1.0 if metric.metric.higher else -1.0
    baseline = tables[0].baseline.arm
    if metric != ablations[0].metric or baseline not in arms:
        return Across(ablations[0].name, metric, arms, regimes, scores, ranked(sign * scores))
    smallest, own = smallest_of(ablations[0]), dict(zip(arms, sign * scores.T, strict=True))
    return Across(
        ablations[0].name, metric, arms, regimes, scores, ranked(sign * scores), baseline, smallest,
        {arm: over_data_sets(own[arm] - own[baseline], smallest) for arm in arms if arm != baseline},
    )  # fmt: skip

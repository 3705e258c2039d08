"""The sheet of arms over many regimes: mean ranks, and which arms the regimes tell apart."""

from __future__ import annotations

import numpy as np

from paribus.evidence.data_sets import Across
from paribus.report.numbers import amount, p_value, text, title
from paribus.report.tables.columns import probabilities
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of
from paribus.stats.ranks import smallest


def ranks_sheet(found: Across, level: float = 0.95) -> Sheet:
    """A row for each arm, the best first."""
    ranks = found.ranks
    order = [int(arm) for arm in np.argsort(ranks.mean, kind="stable")]
    rows = [
        [
            Entry(found.arms[arm] or "(no name)"),
            Entry(text(float(ranks.mean[arm]), 2)),
            Entry(str(ranks.first[arm])),
            Entry("" if arm == order[0] else p_value(float(ranks.p[order[0], arm]))),
            *_practical(found, found.arms[arm]),
        ]
        for arm in order
    ]
    best = found.arms[order[0]]
    columns = [
        Column("arm", words=True, rank=0), Column("mean rank"), Column(f"best of {ranks.n} regimes"),
        Column(f"p (Holm) against {best}"),
    ]  # fmt: skip
    if found.practical:
        columns += [Column(f"P(better than {found.baseline})"), Column("P(same)"), Column("P(worse)")]
    heading = f"Over the regimes: {found.name}"
    return Sheet(heading, label_of(found.name, "ranks"), columns, rows, caption(found, level), short=f"{heading}.")


def _practical(found: Across, arm: str) -> list[Entry]:
    if not found.practical:
        return []
    return [Entry("baseline"), Entry(""), Entry("")] if arm == found.baseline else probabilities(found.practical[arm])


def caption(found: Across, level: float) -> str:
    """What was ranked, by which tests, and what they can't tell apart."""
    ranks, arms = found.ranks, len(found.arms)
    shown = p_value(ranks.friedman)
    least = p_value(smallest(ranks.n, arms))
    parts = [
        f"Arms over {ranks.n} regimes ({', '.join(found.regimes)}), which are taken as a sample: ranks of the mean "
        f"{title(found.metric)}, 1 is best, diverged runs at chance. Friedman's test that all arms are alike "
        f"(by random shuffles): p {shown if shown.startswith('<') else f'= {shown}'}. p of pairs: Wilcoxon's signed "
        f"ranks, exact, adjusted by Holm for {arms * (arms - 1) // 2} pairs of arms; the smallest possible value is "
        f"{least}."
    ]
    if found.practical and found.smallest is not None:
        parts.append(
            f"P: probabilities that over such regimes an arm is better than {found.baseline} by more than d = "
            f"{amount(found.metric, found.smallest)}, within ±d, or worse by more, by the Bayesian signed-rank test "
            "(Benavoli et al. 2017), not adjusted."
        )
    groups = ["; ".join(found.arms[arm] for arm in group) for group in ranks.groups(1 - level)]
    if groups:
        parts.append(f"Not told apart at {100 - 100 * level:g} %: {' | '.join(groups)}.")
    return " ".join(parts)

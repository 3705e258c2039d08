"""One verdict for a claim over its regimes: what holds in all of them, or that it depends on the regime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from paribus.stats.paired import Difference
from paribus.stats.verdict import Outcome, Verdict, decide

HETEROGENEOUS = 0.05  # p of Welch's test, from which on regimes differ beyond chance
DEPENDS = (
    "the verdicts of the regimes differ, and so do their effects (Welch's F test, p at most "
    f"{HETEROGENEOUS:g}); no run in them collapsed"
)


@dataclass(frozen=True)
class InRegime:
    """A verdict in one regime. first: the difference in the claimed direction at the first look, or of all runs where
    there is but one. collapses: whether any run that it compares did."""

    verdict: Verdict
    first: Difference
    collapses: bool = False


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim over its regimes.

    regimes: those of each outcome, in the order given. p: that the effects of all regimes are equal; nan where that is
    not tested, because there is one regime, or because of `untested`: the regimes in which runs collapsed.
    """

    outcome: Outcome | Literal["CONDITIONAL"]
    regimes: dict[Outcome, tuple[str, ...]]
    p: float = math.nan
    untested: tuple[str, ...] = ()


def over_regimes(found: Mapping[str, InRegime], apart: bool = False) -> ClaimVerdict:
    """One verdict for a claim: what the intervals of all regimes say together, as in `verdict.decide`: SUPPORTED if
    every lower bound is at least d, NEGLIGIBLE if every interval lies within ±d, and so on.

    That is an intersection-union test: it is wrong in at most as many cases as the worst of its regimes, and needs
    no adjustment. Where it is INCONCLUSIVE, and two regimes have verdicts that are settled and differ, the claim is
    CONDITIONAL if the effects, each in units of its d, differ beyond chance by `welch`. The difference between
    significant and not significant is not itself significant (Gelman & Stern 2006). The test takes the first look
    of each regime: later ones are there only where it left the verdict open, and on such a choice the test would
    not hold its level. Where runs collapse no test of heterogeneity holds its level, and none is made.

    found: by the name of the regime. apart: where runs collapsed in some regimes, test the others among themselves.

    Raises ValueError without a regime.
    """
    if not found:
        raise ValueError("a claim is settled in at least one regime, got none. Pass the verdict of each regime")
    kinds = [kind for kind in get_args(Outcome) if any(each.verdict.outcome == kind for each in found.values())]
    groups: dict[Outcome, tuple[str, ...]] = {
        kind: tuple(name for name, each in found.items() if each.verdict.outcome == kind) for kind in kinds
    }
    if len(found) == 1:
        return ClaimVerdict(kinds[0], groups)
    verdicts = [each.verdict for each in found.values()]
    collapsed = tuple(name for name, each in found.items() if each.collapses)
    clean = [each for each in found.values() if not each.collapses]
    settled = {each.verdict.outcome for each in clean} - {"INCONCLUSIVE"}
    p = math.nan
    if not collapsed or (apart and len(settled) > 1):
        first = [(each.first, each.verdict.smallest) for each in clean]
        p = welch([d.mean / unit for d, unit in first], [d.sd / unit for d, unit in first], [d.n for d, _ in first])
    outcome = decide(
        min(v.low / v.smallest for v in verdicts), max(v.high / v.smallest for v in verdicts), 1.0
    )  # in units of d, which may differ between regimes
    if outcome == "INCONCLUSIVE" and len(settled) > 1 and p <= HETEROGENEOUS:
        return ClaimVerdict("CONDITIONAL", groups, p, collapsed)
    return ClaimVerdict(outcome, groups, p, collapsed)


def welch(means: Sequence[float], sds: Sequence[float], n: Sequence[int]) -> float:
    r"""p of Welch's F test that k groups have the same mean, whatever their deviations.

    $F = \frac{\sum w_i (\bar x_i - \tilde x)^2 / (k - 1)}{1 + 2 (k - 2) \lambda / (k^2 - 1)}$ with
    $w_i = n_i / s_i^2$, $\tilde x$ the mean weighted by w, $\lambda = \sum (1 - w_i / \sum w)^2 / (n_i - 1)$, compared
    with the F distribution of $k - 1$ and $(k^2 - 1) / (3 \lambda)$ degrees of freedom.

    means, sds, n: (k,) of each group. nan unless every group has two values and a deviation above zero.

    Source: Welch 1951, "On the comparison of several mean values".
    """
    k = len(means)
    if k < 2 or any(not (size >= 2 and math.isfinite(sd) and sd > 0) for sd, size in zip(sds, n, strict=True)):
        return math.nan
    weights = [size / sd**2 for sd, size in zip(sds, n, strict=True)]
    total = sum(weights)
    middle = sum(w * mean for w, mean in zip(weights, means, strict=True)) / total
    between = sum(w * (mean - middle) ** 2 for w, mean in zip(weights, means, strict=True)) / (k - 1)
    spread = sum((1 - w / total) ** 2 / (size - 1) for w, size in zip(weights, n, strict=True))
    from scipy.special import fdtrc

    return float(fdtrc(k - 1, (k * k - 1) / (3 * spread), between / (1 + 2 * (k - 2) * spread / (k * k - 1))))

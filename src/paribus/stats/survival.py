r"""Times until a target is reached, of which some are not seen to the end: curve, restricted mean, median, test.

Of run i a time $t_i$ is known, and whether the target was reached there or the run was only followed until there
(censored). A run that can't reach it any more, because it diverged, has $t_i = \infty$: censored at the moment at which
it diverged it would count as one that might still have been quick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.stats.intervals import check_probability, t_quantile
from paribus.stats.proportions import clopper_pearson
from paribus.stats.signflip import sign_flip

_AT_ONCE = math.ulp(0.0)  # the smallest positive time


@dataclass(frozen=True)
class Survival:
    """The share of n runs that have not reached the target, behind each time at which one did, with a band.

    times: (k,), different and ascending. share, low, high: (k,), from this time up to the next one. before: the band
    before the first time, where the share is 1.
    """

    n: int
    times: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    before: tuple[float, float]

    def crossing(self, band: Sequence[float]) -> float:
        """The first time at which a share is a half or less; infinite where none is."""
        return next((t for t, share in zip(self.times, band, strict=True) if share <= 0.5 + 1e-12), math.inf)


@dataclass(frozen=True)
class Median:
    """The time by which half of the runs have reached the target, and its interval; infinite what the runs do not
    show."""

    time: float
    low: float
    high: float


@dataclass(frozen=True)
class RestrictedMean:
    """The mean over n runs of the time to the target or to `horizon`, whichever comes first, with an interval."""

    n: int
    mean: float
    low: float
    high: float
    horizon: float


@dataclass(frozen=True)
class PairedLogrank:
    """The log-rank test of n pairs of runs.

    excess: how many runs of the first arm have reached the target beyond what is expected if both arms are alike; it is
    positive where the first arm is faster. p: two-sided. p_faster: one-sided, of the first arm's not being faster.
    """

    n: int
    excess: float
    p: float
    p_faster: float


def kaplan_meier(times: Sequence[float], reached: Sequence[bool], level: float = 0.95) -> Survival:
    r"""$S(t) = \prod_{t_j \le t} (1 - d_j / n_j)$, where $d_j$ of the $n_j$ runs still under way reach the target at
    $t_j$, with the band

    $S^{\exp(\pm z\, s / \log S)}$, $s^2 = \sum_{t_j \le t} \frac{d_j}{n_j (n_j - d_j)}$,

    which is an interval at each time by itself. It is that of $\log(-\log S)$, and stays between 0 and 1. Where S is 1
    or 0 it is not defined, and the band is that of Clopper & Pearson for none or all of the n runs.

    times: (n,), positive, infinite for a run that never reaches the target. reached: (n,), false for a run that was
        followed until its time only.

    Raises ValueError for times that are nan or not positive, for another number of flags, and unless 0 < level < 1.

    Sources: Kaplan & Meier 1958; Kalbfleisch & Prentice 1980 for the band.
    """
    check_probability("level", level, 0.95)
    at, events, risk = _table(times, reached)
    n = len(times)
    share = np.cumprod(1 - events / risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(np.cumsum(events / (risk * (risk - events))))
        from scipy.special import ndtri

        power = np.exp(ndtri((1 + level) / 2) * deviation / np.log(share))
        low, high = share ** (1 / power), share**power
    every = clopper_pearson(n, n, level) if n else None
    ended = share <= 0
    low[ended], high[ended] = 0.0, 1 - every.low if every else 1.0
    before = (every.low if every else 0.0, 1.0)
    columns = [tuple(each.tolist()) for each in (at, share, low, high)]
    return Survival(n, columns[0], columns[1], columns[2], columns[3], before)


def median(curve: Survival) -> Median:
    """The first time at which the curve is at a half or below, and the first times at which its lower and its upper
    band are. Source: Brookmeyer & Crowley 1982."""
    return Median(*(curve.crossing(band) for band in (curve.share, curve.low, curve.high)))


def restricted_mean(
    times: Sequence[float],
    reached: Sequence[bool],
    horizon: float,
    level: float = 0.95,
    since: Sequence[float] | None = None,
) -> RestrictedMean:
    r"""$\int_0^\tau S(t)\,dt$, $\tau$ the horizon, with the interval $\pm t_{n-1} \sqrt{\frac{n}{n-1} V}$,

    $V = \sum_{t_j \le \tau} A_j^2 \frac{d_j}{n_j (n_j - d_j)}$, $A_j = \int_{t_j}^\tau S(t)\,dt$.

    If every run is followed up to the horizon or to the target, this is Student's interval of the mean of
    $\min(t_i, \tau)$. If a run got there at some time since $u_i$ that nobody saw, the lower limit is that of the times
    $u_i$, so that the interval covers the mean of the true times.

    Where some runs do not reach the target, Student's interval is too narrow for few runs: its nominal 95 % are about
    50 %, if one run in ten gets there and n = 10. Then each limit counts one run more, if that moves it outwards: the
    upper one a run that never gets there, the lower one a run that saves twice as much of the budget as the quickest
    (all of it, where none gets there). The limits lie between 0 and $\tau$; one run has none. Coverage is at least .94
    for five runs or more whose times differ by up to 30 % (scripts/simulate_statistics.py).

    times, reached: see `kaplan_meier`. horizon: positive and finite. since: (n,), default the times.

    Raises ValueError as `kaplan_meier`, and for another horizon.

    Sources: Irwin 1949; Klein & Moeschberger 2003, section 4.5, for the variance and its factor.
    """
    check_probability("level", level, 0.95)
    if not 0 < horizon < math.inf:
        raise ValueError(f"the horizon is a positive time, got {horizon}. Take the smallest budget")
    n = len(times)
    mean, half = _mean(times, reached, horizon, level)
    if n < 2:
        return RestrictedMean(n, mean, math.nan, math.nan, horizon)
    first = [max(time, _AT_ONCE) for time in (times if since is None else since)]
    below = _mean(first, reached, horizon, level)
    low, high = below[0] - below[1], mean + half
    seen = [time for time, there in zip(first, reached, strict=True) if there and time <= horizon]
    if len(seen) < n:
        quick = max(_AT_ONCE, 2 * min(seen) - horizon if seen else 0.0)
        never = _mean([*times, math.inf], [*reached, False], horizon, level)
        sooner = _mean([*first, quick], [*reached, True], horizon, level)
        low, high = min(low, sooner[0] - sooner[1]), max(high, never[0] + never[1])
    return RestrictedMean(n, mean, max(0.0, low), min(horizon, high), horizon)


def paired_logrank(
    a: Sequence[float], b: Sequence[float], reached_a: Sequence[bool], reached_b: Sequence[bool]
) -> PairedLogrank:
    r"""The log-rank test of arms whose runs are paired by their seeds, exact for few pairs.

    The log-rank statistic, observed minus expected events of the first arm, is the sum of its runs' scores
    $c_i = \delta_i - \sum_{t_j \le t_i} d_j / n_j$ over the pooled runs ($\delta_i = 1$ if the target was reached). If
    both arms are alike, the two runs of a seed can change places, and the scores stay what they are. So p is that of
    the sign-flip test of the differences of scores within pairs, see `signflip.sign_flip`: valid for every n, for tied
    times, for any censoring that does not depend on the arm, and for seeds that are lucky in both arms. A log-rank
    test stratified by seeds would compare a seed's two runs alone, and be a sign test; one that ignores the pairs needs
    many runs, and gives the luck that is common to both arms away.

    a, b: (n,), times of both arms in the order of the seeds. reached_a, reached_b: see `kaplan_meier`.

    Raises ValueError as `kaplan_meier`, and unless both arms have one run for each seed.

    Sources: Peto & Peto 1972; O'Brien & Fleming 1987 for scores of the pooled sample in pairs.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need as many runs on both sides, got {len(a)} and {len(b)}. Keep the shared seeds")
    scores = logrank_scores([*a, *b], [*reached_a, *reached_b])
    first, second = scores[: len(a)], scores[len(a) :]
    excess = float(first.sum())
    p = sign_flip((first - second).tolist()).p
    return PairedLogrank(len(a), excess, p, p / 2 if excess > 0 else 1 - p / 2)


def logrank_scores(times: Sequence[float], reached: Sequence[bool]) -> np.ndarray:
    r"""(n,): $\delta_i - \sum_{t_j \le t_i} d_j / n_j$ of each run; they sum to zero."""
    at, events, risk = _table(times, reached)
    hazard = np.concatenate([[0.0], np.cumsum(events / risk)])
    scores: np.ndarray = np.asarray(reached, float) - hazard[np.searchsorted(at, np.asarray(times, float), "right")]
    return scores


def _table(times: Sequence[float], reached: Sequence[bool]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(k,) each: the different times at which the target is reached, how many reach it, and how many are under way."""
    t, there = np.asarray(times, dtype=float), np.asarray(reached, dtype=bool)
    if t.shape != there.shape:
        raise ValueError(f"each time needs a flag, got {t.size} times and {there.size} flags")
    if not (t > 0).all():
        raise ValueError(f"times are positive, got {t[~(t > 0)][0]}. A run that never gets there has the time inf")
    if (t[there] == math.inf).any():
        raise ValueError(
            "a target that is reached is reached at a finite time, got inf. Mark the run as not reaching it"
        )
    at, events = np.unique(t[there], return_counts=True)
    return at, events.astype(float), (t[None, :] >= at[:, None]).sum(1).astype(float)


def _mean(times: Sequence[float], reached: Sequence[bool], horizon: float, level: float) -> tuple[float, float]:
    """The restricted mean and half the width of its interval; nan without two runs."""
    at, events, risk = _table(times, reached)
    n = len(times)
    if not n:
        return math.nan, math.nan
    inside = at <= horizon
    at, events, risk = at[inside], events[inside], risk[inside]
    share = np.concatenate([[1.0], np.cumprod(1 - events / risk)])
    areas = share * np.diff([0.0, *at, horizon])
    if n < 2:
        return float(areas.sum()), math.nan
    left = areas.sum() - np.cumsum(areas)[:-1]  # behind each time
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = float(np.where(risk > events, left**2 * events / (risk * (risk - events)), 0.0).sum())
    return float(areas.sum()), t_quantile((1 + level) / 2, n - 1) * math.sqrt(variance * n / (n - 1))

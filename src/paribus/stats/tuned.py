"""The comparison of arms that were tuned: it holds its level although each arm's best point was chosen by luck too.

Two arms that are the same procedure, each tuned once on k seeds and reported on n others, differ "significantly at
5 %" in 14 % of cases at k = 3 and n = 10, and in 42 % at n = 90 (simulated): what luck chose in tuning, more reporting
seeds only show more clearly. So the points of the grid that tuning can't tell from the best are kept, all of them are
reported, each seed is scored at the point that the other seeds choose, and an arm is better only where it beats its
rival at every point that the rival keeps. `scripts/simulate_tuned.py` shows that this holds 5 %.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paribus.stats.paired import Difference, paired_difference
from paribus.stats.resampled import widened

MOST_RIVALS = 4_096  # combinations of kept points that are compared one by one


def near_ties(scores: np.ndarray, chosen: int) -> np.ndarray:
    r"""Which points of a grid are kept, (G,) booleans: those that are not clearly worse than the best, b,

    $\bar x_b - \bar x_g \le c \sqrt{(s_b^2 + s_g^2) / k}$, where $s_g$ is the larger of the point's own deviation and
    the median of all, since three seeds estimate a deviation badly. c is 3 from five seeds on, 4 at three or four and 6
    at two. A single seed tells nothing apart, and every point is kept.

    scores: (G, k) of k seeds at each point, larger is better; a diverged run has what guessing scores.
    chosen: the point that is kept in any case.

    Source: subset selection, Gupta 1965; c by simulation.
    """
    x = np.asarray(scores, dtype=float)
    points, k = x.shape
    if k < 2:
        return np.ones(points, dtype=bool)
    with np.errstate(invalid="ignore"):  # a diverged run without a chance level is -inf
        mean, sd = x.mean(1), x.std(1, ddof=1)
        sd = np.maximum(sd, np.median(sd[np.isfinite(sd)]) if np.isfinite(sd).any() else 0.0)
        best = int(mean.argmax())
        far = (6.0 if k == 2 else 4.0 if k < 5 else 3.0) * np.sqrt((sd[best] ** 2 + sd**2) / k)
        kept: np.ndarray = mean[best] - mean <= far
    kept[chosen] = True
    return kept


def cross_fitted(tuning: np.ndarray, reporting: np.ndarray) -> list[int]:
    """For each reporting seed the kept point with the best mean over all other seeds, of tuning and of reporting.

    A seed that helped to choose its own point would flatter it. Of points that tie the first is taken.

    tuning (K, k), reporting (K, n): the score that is selected on, larger is better; a diverged run has what guessing
        scores. A reporting seed that a point lacks is nan, and counts at no point.
    """
    there = ~np.isnan(reporting).any(0)
    reporting = np.where(there, reporting, 0.0)
    total = tuning.sum(1) + reporting.sum(1)
    with np.errstate(invalid="ignore"):
        others = np.nan_to_num(total[:, None] - reporting, nan=-math.inf, neginf=-math.inf)
    return [int(point) for point in others.argmax(0)]


def tuned_difference(
    a: Sequence[np.ndarray],
    b: Sequence[np.ndarray],
    kept_a: Sequence[np.ndarray],
    kept_b: Sequence[np.ndarray],
    level: float = 0.95,
    ratio: float = 0.0,
) -> Difference:
    r"""a - b for arms that were tuned.

    The difference is the mean of the differences of cross-fitted scores. Its lower limit is the least of those of a's
    cross-fitted scores against every kept point of b, its upper limit the largest of those of every kept point of a
    against b's cross-fitted scores, and p is twice the smaller of the two one-sided p values that belong to them. The
    comparisons behind the limits are in `below` and `above`. With one kept point on either side it is the plain
    paired difference.

    a, b: the cross-fitted scores (n,) of each pair of arms that the comparison averages over; mostly one pair.
    kept_a, kept_b: of each pair of arms, the scores (K, n) at every kept point. Where a diverged run has no chance
        level its score is infinite, and the difference has no interval.
    ratio: of test to training samples where each seed has a split of its own, see `resampled.widened`; else 0.
    """
    alone = all(len(each) == 1 for each in (*kept_a, *kept_b))
    plain = _paired(_mean(a), _mean(b), level, ratio, exact=alone)
    if alone:
        return plain
    below, flip_up = _against(a, kept_b, level, ratio)
    found, flip_down = _against(b, kept_a, level, ratio)
    above = [each.turned for each in found]
    up, down = max(_one_sided(each, each.p) for each in below), max(_one_sided(each, each.p) for each in found)
    return replace(
        plain,
        low=min(each.low for each in below),
        high=max(each.high for each in above),
        p=min(1.0, 2 * min(up, down)),
        p_sign_flip=min(1.0, 2 * min(flip_up, flip_down)),
        below=tuple(below),
        above=tuple(above),
    )


def _paired(a: np.ndarray, b: np.ndarray, level: float, ratio: float, exact: bool = False) -> Difference:
    return paired_difference(widened(a, b, ratio).tolist(), b.tolist(), level, exact)


def _mean(arms: Sequence[np.ndarray]) -> np.ndarray:
    """(n,), over the pairs of arms: mostly there is one."""
    mean: np.ndarray = arms[0] if len(arms) == 1 else np.mean(arms, axis=0)
    return mean


def _against(
    own: Sequence[np.ndarray], kept: Sequence[np.ndarray], level: float, ratio: float
) -> tuple[list[Difference], float]:
    """own - rival at every combination of the rivals' kept points, and the one-sided sign-flip p of the closest one.

    Of more than `MOST_RIVALS` combinations there is one bound on all: the least mean of each pair of arms, and the mean
    of their largest deviations, which is at least the deviation of the mean (Minkowski).
    """
    if math.prod(map(len, kept)) <= MOST_RIVALS:
        sides = [(_mean(own), _mean(rivals)) for rivals in itertools.product(*kept)]
    else:
        gaps = [mine - rivals for mine, rivals in zip(own, kept, strict=True)]
        least = float(np.mean([gap.mean(1).min() for gap in gaps]))
        spread = float(np.mean([gap.std(1, ddof=1).max() for gap in gaps]))
        pattern = np.arange(float(len(own[0])))  # any values of this mean and deviation have the same t test
        pattern = (pattern - pattern.mean()) / pattern.std(ddof=1)
        sides = [(least + spread * pattern, np.zeros_like(pattern))]
    found = [_paired(*side, level, ratio) for side in sides]
    closest = max(range(len(found)), key=lambda number: _one_sided(found[number], found[number].p))
    exact = _paired(*sides[closest], level, ratio, exact=True)
    return found, _one_sided(exact, exact.p_sign_flip)


def _one_sided(difference: Difference, p: float) -> float:
    """The p value of the one-sided test for a positive difference, from the two-sided one."""
    return p / 2 if difference.mean > 0 else 1 - p / 2

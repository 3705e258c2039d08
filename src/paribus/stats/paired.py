"""The comparison of arms that share their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from paribus.stats.intervals import mean_interval
from paribus.stats.signflip import LARGEST_EXACT, ROUNDING, sign_flip


@dataclass(frozen=True)
class Difference:
    """Mean difference over n pairs, its deviation and t interval; effect size d_z = mean / sd.

    p: two-sided, of the paired t test.
    p_sign_flip: two-sided and exact, whatever the distribution, but never below 2 / 2^n; nan above
        `LARGEST_EXACT` pairs, where `sign_flip` needs a generator.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    d_z: float
    p: float
    p_sign_flip: float


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95, exact: bool = True) -> Difference:
    """a - b, pair by pair.

    Where all differences are equal, t is not defined, and p is that of the sign-flip test, 2 / 2^n (1 if they
    are all zero): accuracies are whole numbers of test samples, so three equal differences are no proof.

    exact: whether the sign-flip test is wanted too, which takes longest.

    Raises ValueError unless both have one value for each seed.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need as many values on both sides, got {len(a)} and {len(b)}. Keep the shared seeds")
    x, y = [float(value) for value in a], [float(value) for value in b]
    d = [own - other for own, other in zip(x, y, strict=True)]
    if d and all(map(math.isfinite, d)):
        largest = max(map(abs, x))
        if max(d) - min(d) <= ROUNDING * max(largest, *map(abs, y)):
            d = [d[0] if abs(d[0]) > ROUNDING * largest else 0.0] * len(d)
    summary = mean_interval(d, level)
    n, mean, sd = summary.n, summary.mean, summary.sd
    if n < 2 or math.isnan(sd):
        return Difference(n, mean, sd, summary.low, summary.high, math.nan, math.nan, math.nan)
    if sd == 0:
        p = 1.0 if mean == 0 else 2.0 ** (1 - n)
        d_z = 0.0 if mean == 0 else math.copysign(math.inf, mean)
        return Difference(n, mean, sd, summary.low, summary.high, d_z, p, p)
    from scipy.special import stdtr

    p = float(2 * stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))
    p_sign_flip = sign_flip(d).p if exact and n <= LARGEST_EXACT else math.nan
    return Difference(n, mean, sd, summary.low, summary.high, mean / sd, p, p_sign_flip)

"""Means over seeds and paired differences between arms, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mean:
    """A mean over n runs, their standard deviation, and a t interval [low, high] for the mean."""

    n: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], level: float = 0.95) -> Mean:
    r"""$\bar x \pm t_{n-1}\, s / \sqrt n$: the interval of Student's t.

    Not the bootstrap, whose nominal 95 % interval covers about 77 % at n = 3. One value has no interval (nan).
    """
    x = np.asarray(values, dtype=float)
    n = x.size
    if n == 0:
        return Mean(0, math.nan, math.nan, math.nan, math.nan)
    mean = float(x.mean())
    if n == 1:
        return Mean(1, mean, math.nan, math.nan, math.nan)
    sd = float(x.std(ddof=1))
    half = t_quantile(0.5 + level / 2, n - 1) * sd / math.sqrt(n)
    return Mean(n, mean, sd, mean - half, mean + half)


@dataclass(frozen=True)
class Difference:
    """Mean difference over n pairs of runs with one seed each; p of the paired t test; d_z = mean / sd."""

    n: int
    mean: float
    low: float
    high: float
    p: float
    d_z: float


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Difference:
    """a - b, seed by seed.

    Raises ValueError unless both have one value for each seed.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need as many values on both sides, got {len(a)} and {len(b)}")
    d = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    interval = mean_interval(d.tolist(), level)
    if interval.n < 2:
        return Difference(interval.n, interval.mean, math.nan, math.nan, math.nan, math.nan)
    if interval.sd == 0:
        p = 1.0 if interval.mean == 0 else 0.0
        d_z = 0.0 if interval.mean == 0 else math.copysign(math.inf, interval.mean)
        return Difference(interval.n, interval.mean, interval.low, interval.high, p, d_z)
    from scipy.special import stdtr

    t = interval.mean / (interval.sd / math.sqrt(interval.n))
    p = float(2 * stdtr(interval.n - 1, -abs(t)))
    return Difference(interval.n, interval.mean, interval.low, interval.high, p, interval.mean / interval.sd)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values that control the family-wise error. Source: Holm 1979. nan stays nan and does not count."""
    values = np.asarray(p, dtype=float)
    adjusted = values.copy()
    real = np.flatnonzero(~np.isnan(values))
    largest = 0.0
    for rank, index in enumerate(real[np.argsort(values[real], kind="stable")]):
        largest = max(largest, min(1.0, (len(real) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted.tolist()


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t. scipy.special alone imports in a fifth of the time of scipy.stats."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))

"""Means over seeds and their uncertainty."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mean:
    """A mean over n values, their standard deviation (n - 1), and a t interval [low, high] for the mean."""

    n: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], level: float = 0.95) -> Mean:
    r"""$\bar x \pm t_{n-1,\,(1+level)/2}\, s / \sqrt n$: Student's interval.

    Not the bootstrap, whose nominal 95 % interval covers about 77 % at n = 3. One value has neither
    deviation nor interval, and no value has no mean: nan. A value that is not finite makes the mean so.

    Raises ValueError unless 0 < level < 1.
    """
    check_probability("level", level, 0.95)
    x = [float(value) for value in values]  # for a dozen seeds ten times as fast as an array
    n = len(x)
    if n == 0:
        return Mean(0, math.nan, math.nan, math.nan, math.nan)
    if n == 1 or not all(map(math.isfinite, x)):
        return Mean(n, sum(x) / n, math.nan, math.nan, math.nan)
    if x.count(x[0]) == n:  # rounding would find a deviation
        return Mean(n, x[0], 0.0, x[0], x[0])
    mean = sum(x) / n
    sd = math.sqrt(sum([(value - mean) * (value - mean) for value in x]) / (n - 1))
    half = t_quantile((1 + level) / 2, n - 1) * sd / math.sqrt(n)
    return Mean(n, mean, sd, mean - half, mean + half)


@functools.lru_cache
def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit  # scipy.stats takes five times as long to import

    return float(stdtrit(freedom, probability))


def check_probability(name: str, value: float, example: float) -> None:
    """Raises ValueError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} is a probability between 0 and 1, got {value}. Try {example}")

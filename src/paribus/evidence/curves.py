"""The mean of learning curves over runs, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from paribus.stats.intervals import t_quantile


@dataclass
class Curve:
    """Mean over n runs, its t interval [low, high] (nan at n = 1); `whole` has these runs, `partial` those that ended
    early."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    partial: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    whole: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)


@np.errstate(over="ignore", invalid="ignore")  # a run that nearly diverged logs 1e300, whose square is inf
def mean_curve(
    runs: Sequence[Mapping[str, Sequence[float]]], metric: str, x: str, level: float = 0.95, log: bool = False
) -> Curve:
    """Mean over the runs that are as long as the longest, row by row; x is averaged as well (seconds differ).

    Rows without a value (a metric that is not measured in every epoch) are left out.

    log: mean and interval of the logarithm, where all values are positive.
    """
    found = []
    for run in runs:
        if metric in run and x in run:
            points, values = np.asarray(run[x], dtype=float), np.asarray(run[metric], dtype=float)
            keep = np.isfinite(values) & np.isfinite(points)
            if keep.any():
                found.append((points[keep], values[keep]))
    length = max((len(points) for points, _ in found), default=0)
    whole = [(points, values) for points, values in found if len(points) == length]
    partial = [(points, values) for points, values in found if len(points) < length]
    if not whole:
        empty = np.empty(0)
        return Curve(empty, empty, empty, empty, 0)
    points = np.mean([points for points, _ in whole], axis=0)
    values = np.stack([values for _, values in whole])  # (n, length)
    log = log and bool((values > 0).all())
    if log:
        values = np.log(values)
    n = len(values)
    mean = values.mean(axis=0)
    half = np.full(length, np.nan)
    if n > 1:
        half = t_quantile((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)
    low, high = mean - half, mean + half
    if log:
        with np.errstate(over="ignore"):
            mean, low, high = np.exp(mean), np.exp(low), np.exp(high)
    return Curve(points, mean, low, high, n, partial, whole)

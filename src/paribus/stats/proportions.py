"""Proportions of runs, and means that count diverged runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.stats.intervals import Mean, check_probability, mean_interval


@dataclass(frozen=True)
class Proportion:
    """`count` of n, their share, and an exact interval [low, high] for its probability."""

    count: int
    n: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Divergence:
    """What an arm's runs are worth if some diverged.

    rate: of diverged runs.
    without: mean over the others, which praises an arm for losing its worst runs.
    at_chance: mean over all, diverged runs scored at chance. Its t interval covers too rarely while divergence is
        rare (n = 10, rate 0.1: see scripts/simulate_statistics.py): read it beside the rate.
    """

    rate: Proportion
    without: Mean
    at_chance: Mean


def clopper_pearson(count: int, n: int, level: float = 0.95) -> Proportion:
    r"""Interval for the probability behind `count` successes in n trials, with coverage of at least `level`:

    $[B^{-1}_{\alpha/2}(k, n - k + 1),\; B^{-1}_{1 - \alpha/2}(k + 1, n - k)]$, $\alpha = 1 - level$, with quantiles
    of the beta distribution; 0 below k = 0 and 1 above k = n. No trials: share nan, interval [0, 1].

    Raises ValueError unless 0 <= count <= n and 0 < level < 1.

    Source: Clopper & Pearson 1934.
    """
    check_probability("level", level, 0.95)
    if not 0 <= count <= n:
        raise ValueError(f"a count lies between 0 and n = {n}, got {count}. Count successes among the trials")
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(count, n - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return Proportion(count, n, count / n if n else math.nan, low, high)


def at_chance(scores: Sequence[float] | np.ndarray, chance: float) -> np.ndarray:
    """The scores in their shape, those that are not finite (a diverged run) replaced by `chance`.

    chance: what guessing scores, in the unit of the scores: 1 / classes for an accuracy, log(classes) for a
        cross-entropy.

    Raises ValueError unless chance is finite.
    """
    if not math.isfinite(chance):
        raise ValueError(f"chance is a finite score, got {chance}. For an accuracy it is 1 / classes")
    x = np.asarray(scores, dtype=float)
    return np.where(np.isfinite(x), x, chance)


def divergence(scores: Sequence[float], chance: float, level: float = 0.95) -> Divergence:
    """The rate of diverged runs, and the mean without them and with them scored at chance.

    scores: (n,), one for each run, not finite where it diverged.

    Raises ValueError unless chance is finite and 0 < level < 1.
    """
    x = np.asarray(scores, dtype=float)
    finite = np.isfinite(x)
    return Divergence(
        clopper_pearson(int((~finite).sum()), x.size, level),
        mean_interval(x[finite].tolist(), level),
        mean_interval(at_chance(x, chance).tolist(), level),
    )

r"""Curves over the budget for tuning: what k trials give, with its error.

Of T trials that were drawn at random, every k are a search of k trials. The expected value of its choice is the mean
over all of these subsets, a U-statistic: with the trials in ascending order of what is selected on,

$U_k = \sum_i y_{(i)} \binom{i-1}{k-1} / \binom Tk$,

where $y_{(i)}$ is what is reported of the trial of rank i. Each seed's value is taken at the trial that the other seeds
choose, since a seed that helped to choose its own trial would flatter it.

Its variance has two parts: trials, by the jackknife of U-statistics, whose expectation is at least the variance (Efron
& Stein 1981), and seeds, by what $U_k$ is for each of them. Trials of two arms that were drawn alike are pairs, so the
difference of two curves is such a statistic too. `scripts/simulate_budgets.py` shows what holds.

Sources: Dodge et al. 2019, "Show Your Work", arXiv:1909.03004; Tang et al. 2020, "Showing Your Work Doesn't Always
Work", arXiv:2004.13705, for U; Arvesen 1969 for its jackknife.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Search:
    """The trials of an arm, or their difference from those of another.

    seeds: (m, T) of $U_k$ for each seed, k = 1..T. without: (T, T - 1), the mean over seeds of $U_k$ without each
    trial, k = 1..T - 1.
    """

    seeds: np.ndarray
    without: np.ndarray

    @property
    def trials(self) -> int:
        return len(self.without)

    def __sub__(self, other: Search) -> Search:
        """The difference, trial by trial and seed by seed."""
        return Search(self.seeds - other.seeds, self.without - other.without)


@dataclass(frozen=True)
class After:
    """The expected value after k trials, its interval [low, high] and the p value of its being zero."""

    k: int
    mean: float
    low: float
    high: float
    p: float


LEAST_TRIALS, LEAST_SEEDS = 8, 3  # of fewer, bands are too narrow


def budgets(trials: int) -> list[int]:
    """The numbers of trials at which arms are compared: powers of two up to half of those that were drawn.

    Beyond that nearly all subsets share the best trial, and nothing tells how much luck there is in it.
    """
    return [2**power for power in range((trials // 2).bit_length()) if 2**power <= trials // 2]


def search(select: np.ndarray, value: np.ndarray) -> Search:
    """The curves of an arm's trials.

    select (T, m): what is selected on, larger is better; value (T, m): what is reported, both finite: T trials by m
    seeds. A single seed chooses by itself. Of trials that tie in what is selected on, each is taken as often.

    Raises ValueError unless there are two trials or more with finite scores of the same seeds.
    """
    x, y = np.asarray(select, dtype=float), np.asarray(value, dtype=float)
    if x.ndim != 2 or x.shape != y.shape or len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"a curve needs finite scores (trials, seeds) of two trials or more, got {x.shape}, {y.shape}")
    trials, m = x.shape
    others = x if m == 1 else x.sum(1, keepdims=True) - x
    whole, less = _weights(trials), _weights(trials - 1)
    seeds, without = np.empty((m, trials)), np.zeros((trials, trials - 1))
    for seed in range(m):
        order = np.argsort(others[:, seed], kind="stable")
        own = _level(others[order, seed], y[order, seed])
        seeds[seed] = whole @ own
        # Without the trial of rank q those below keep their ranks, and those above move down by one.
        below = np.cumsum(less * own[:-1], axis=1)
        above = np.cumsum((less * own[1:])[:, ::-1], axis=1)[:, ::-1]
        rest = np.zeros((trials - 1, trials))
        rest[:, 1:] += below
        rest[:, :-1] += above
        without[order] += rest.T / m
    return Search(seeds, without)


def after(of: Search, k: int, level: float = 0.95) -> After:
    r"""$U_k$ with its interval and p, of variance $v_T + v_m$: that of trials and that of seeds.

    $t = U_k / \sqrt{v_T + v_m}$ is compared with the mean of two t distributions, weighted with $v_T$ and $v_m$
    (Cochran & Cox 1957), which is safe whichever of them is large. That of seeds has m - 1 degrees of freedom, that of
    trials $2 T / (\kappa - 1)$, at most T - 1, with the kurtosis $\kappa$ of the jackknife's values: the larger k is,
    the fewer trials decide. There is no interval with a single seed, nor for k = T.
    """
    mean = float(of.seeds[:, k - 1].mean())
    n, m = of.trials, len(of.seeds)
    if k >= n or m < 2:
        return After(k, mean, math.nan, math.nan, math.nan)
    squares = (of.without[:, k - 1] - of.without[:, k - 1].mean()) ** 2
    trials, luck = (n - 1) / n * float(squares.sum()), float(of.seeds[:, k - 1].var(ddof=1)) / m
    error = math.sqrt(trials + luck)
    if not error:
        return After(k, mean, mean, mean, 1.0 if mean == 0 else 0.0)
    from scipy.special import stdtr, stdtrit

    excess = n * float((squares**2).sum()) / float(squares.sum()) ** 2 - 1 if trials else 0.0
    freedom = min(n - 1.0, max(1.0, 2 * n / excess)) if excess > 0 else n - 1.0

    def tail(t: float) -> float:
        return 2 * float(trials * stdtr(freedom, -t) + luck * stdtr(m - 1, -t)) / (trials + luck)

    low, high = 0.0, float(max(stdtrit(freedom, 0.5 + level / 2), stdtrit(m - 1, 0.5 + level / 2)))
    for _ in range(60):  # bisection: the weighted tail falls with t
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > 1 - level else (low, middle)
    return After(k, mean, mean - high * error, mean + high * error, tail(abs(mean) / error))


def _weights(n: int) -> np.ndarray:
    r"""(n, n): $\binom{i-1}{k-1} / \binom nk$ for k = 1..n (rows) and the rank i = 1..n."""
    from scipy.special import gammaln

    rank, k = np.arange(1, n + 1), np.arange(1, n + 1)[:, None]
    below = rank < k  # the best of no subset
    log = gammaln(rank) - gammaln(np.where(below, 1, rank - k + 1)) + gammaln(n - k + 1) - gammaln(n + 1) + np.log(k)
    found: np.ndarray = np.where(below, 0.0, np.exp(log))
    return found


def _level(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values with those of equal keys, which lie beside each other, replaced by their mean."""
    _, group, count = np.unique(keys, return_inverse=True, return_counts=True)
    found: np.ndarray = (np.bincount(group, values) / count)[group]
    return found

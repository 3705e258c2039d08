"""The choice of a grid point, and its expected score. Higher scores are better: pass losses negated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from paribus.stats.signflip import ROUNDING


@dataclass(frozen=True)
class Selection:
    """The best grid point.

    mean: over the tuning seeds; -inf if one of its runs diverged, as only the best of bad grids does. It is biased
        upwards, being the best of many: report on other seeds.
    tied: all points that do as well, the winner first.
    edges: for each axis of the grid, on which of its ends the winner lies. An optimum on an edge is no optimum.
    """

    index: int
    mean: float
    diverged: int
    tied: tuple[int, ...]
    edges: tuple[Literal["low", "high"] | None, ...]

    @property
    def on_edge(self) -> bool:
        return any(self.edges)


@dataclass(frozen=True)
class BestOfK:
    """Expected best of k grid points, k = 1..n: arrays of shape (n,).

    expected, sd: of the best of k draws with replacement from the n scores (Dodge et al. 2019).
    unbiased: mean of the best over all subsets of k scores (Tang et al. 2020).
    """

    k: np.ndarray
    expected: np.ndarray
    sd: np.ndarray
    unbiased: np.ndarray


@dataclass(frozen=True)
class Sensitivity:
    """area: mean score over the logarithm of the learning rate, in the unit of the score. decades: the grid's width.

    regret: best score - area: what a learning rate picked blindly from the grid costs on average.
    """

    area: float
    decades: float
    regret: float


@np.errstate(over="ignore")
def select_best(
    scores: Sequence[Sequence[float]] | np.ndarray, grid: Sequence[object] | np.ndarray | None = None
) -> Selection:
    """The grid point with the highest mean over the tuning seeds.

    A diverged run scores worst: a point with fewer of them is better, whatever the means; among points with as
    many, the mean of the other runs decides. Of points that tie, the first is taken: let grids ascend, so that ties
    go to the smaller learning rate.

    scores: (G, S), one row for each grid point, one column for each tuning seed, not finite where a run diverged.
    grid: (G,) or (G, axes), the points' coordinates, default their order. On an axis with one value there is no edge.

    Raises ValueError unless there is a score for each point and seed.
    """
    x = np.asarray(scores, dtype=float)
    points = np.asarray(range(len(x)) if grid is None else grid, dtype=float)
    if x.ndim != 2 or 0 in x.shape or points.ndim not in (1, 2) or len(points) != len(x):
        raise ValueError(
            f"a grid of G points needs scores (G, seeds), got {points.shape} and {x.shape}. One row for each point"
        )
    finite = np.isfinite(x)
    diverged = (~finite).sum(axis=1)
    means = np.where(finite, x, 0.0).sum(axis=1) / np.maximum(1, finite.sum(axis=1))
    fewest = diverged == diverged.min()
    best = means[fewest].max()
    tolerance = ROUNDING * np.abs(x[finite]).max(initial=0.0)
    tied = np.flatnonzero(fewest & (means >= best - tolerance))
    index = int(tied[0])
    mean = float(means[index]) if diverged[index] == 0 else -math.inf
    return Selection(index, mean, int(diverged[index]), tuple(tied.tolist()), edges(points, index))


def edges(grid: Sequence[object] | np.ndarray, index: int) -> tuple[Literal["low", "high"] | None, ...]:
    """For each axis of the grid, which of its ends point `index` lies on, None if inside or if the axis has one value.

    grid: (G,) or (G, axes).
    """
    points = np.asarray(grid, dtype=float)
    found: list[Literal["low", "high"] | None] = []
    for axis in points.reshape(len(points), -1).T:
        low, high, own = axis.min(), axis.max(), axis[index]
        found.append(None if low == high or low < own < high else "low" if own == low else "high")
    return tuple(found)


def best_of_k(scores: Sequence[float] | np.ndarray) -> BestOfK:
    r"""Expected best of k grid points that were picked at random, over the n scores of a search.

    With replacement, $E_k = \sum_i x_{(i)} [(i/n)^k - ((i-1)/n)^k]$, its deviation from the same weights. It is
    biased downwards as k comes near n, since a draw with replacement sees fewer than k points. Without,
    $U_k = \sum_i x_{(i)} \binom{i-1}{k-1} / \binom nk$, unbiased for the best of k new points.

    scores: (n,), one for each point tried.

    Raises ValueError unless there is a score and all are finite.

    Sources: Dodge et al. 2019, "Show Your Work"; Tang et al. 2020, "Showing Your Work Doesn't Always Work".
    """
    x = np.sort(np.asarray(scores, dtype=float))
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"scores (n,) must be finite, got {scores}. Score diverged runs at chance first")
    from scipy.special import gammaln

    n = x.size
    rank, k = np.arange(1, n + 1), np.arange(1, n + 1)[:, None]
    weights = (rank / n) ** k - ((rank - 1) / n) ** k
    expected = weights @ x
    sd = np.sqrt((weights * (x - expected[:, None]) ** 2).sum(axis=1))
    # log (i - 1)! / (i - k)! - log n! / (n - k)! + log k; a point below rank k is the best of no subset
    below = rank < k
    log = gammaln(rank) - gammaln(np.where(below, 1, rank - k + 1)) + gammaln(n - k + 1) - gammaln(n + 1) + np.log(k)
    return BestOfK(k[:, 0], expected, sd, np.where(below, 0.0, np.exp(log)) @ x)


def sensitivity(rates: Sequence[float] | np.ndarray, scores: Sequence[float] | np.ndarray) -> Sensitivity:
    r"""Area under the learning-rate sensitivity curve, on a logarithmic axis and divided by its width:

    $\frac{1}{\log r_G - \log r_1} \int s \, d\log r$ by the trapezoidal rule. Compare arms on the same grid only.

    rates, scores: (G,), in any order; a rate has one score, the mean over seeds with diverged runs at chance.

    Raises ValueError unless there are at least two rates, positive and distinct, each with a finite score.
    """
    r, s = np.asarray(rates, dtype=float), np.asarray(scores, dtype=float)
    if r.ndim != 1 or r.shape != s.shape or len(np.unique(r)) != r.size or r.size < 2 or not (r > 0).all():
        raise ValueError(
            f"a curve needs two or more distinct positive rates with one score each, got {rates}, {scores}"
        )
    if not (np.isfinite(s).all() and np.isfinite(r).all()):
        raise ValueError(f"rates and scores must be finite, got {rates}, {scores}. Score diverged runs at chance first")
    order = np.argsort(r)
    x, y = np.log10(r[order]), s[order]
    decades = float(x[-1] - x[0])
    area = float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum()) / decades
    return Sensitivity(area, decades, float(y.max()) - area)

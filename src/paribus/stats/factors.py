r"""The decomposition of a grid by its factors: which of them matters, and whether they interact.

The score of seed s at arm c is $y_{sc} = \mu_c + e_{sc}$: seeds are blocks, drawn at random, and $e_s$ has any
covariance $\Sigma$, so that arms may be unequally noisy. The means $\mu$ of the C arms are split into main effects and
interactions, $\mu - \bar\mu = \sum_t P_t \mu$, with $P_t$ the projection on what term t adds to all terms that do not
contain it (sums of squares of type II). On a full grid the terms are orthogonal and this is the analysis of variance
of R's `aov(y ~ A * B + Error(seed / (A * B)))`, with an error of its own for each term.

Each term is then a matter of the seeds' own effects $P_t y_s$, as a paired difference is of the seeds' own differences;
for two factors of two levels the test is the paired t test.

**Share.** $\|P_t \mu\|^2 / \|\mu - \bar\mu\|^2$: of the variance between the true means of the arms. Noise is no part
of it. Omega squared, whose denominator has the variance of the runs, calls a factor small where runs are noisy, however
many seeds show what it does; and few seeds tell little about a variance.

Sources: Scheffé 1959, "The analysis of variance", chapters 4 and 8; Greenhouse & Geisser 1959, "On methods in the
analysis of profile data"; Langsrud 2003, "ANOVA for unbalanced data: use type II instead of type III sums of squares";
Hutter et al. 2014, "An efficient approach for assessing hyperparameter importance", for shares of means.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from paribus.stats.intervals import check_probability
from paribus.stats.multiple import holm
from paribus.stats.paired import Difference, paired_difference
from paribus.stats.resampled import widened
from paribus.stats.signflip import ROUNDING

Term = tuple[int, ...]  # places of the factors: one for a main effect, two for an interaction, all for every other one
MOST_CONTRASTS = 1_000_000


@dataclass(frozen=True)
class Effect:
    """What a term contributes to the spread between the arms' means.

    freedom: dimensions that the term has. squares: their sum of squares over all runs; error: that of the term's
        interaction with the seeds, with `freedom` (n - 1) degrees of freedom.
    share: of the variance between the true means of the arms, 0 to 1, estimated without bias but for its limits;
        nan where nothing is left beside noise. low, high: its interval.
    f, p: of the test that the term has no effect; p is adjusted by Holm over all terms.
    """

    term: Term
    freedom: int
    squares: float
    error: float
    share: float
    low: float
    high: float
    f: float
    p: float


@dataclass(frozen=True)
class Decomposition:
    """All terms of a grid, over n seeds that have a run at every arm.

    sd: of a run around the mean of its arm, over all arms. common: the share of its square that all arms of a seed have
    in common, the covariance between arms; pairing removes it.
    """

    n: int
    effects: list[Effect]
    sd: float
    common: float


@dataclass(frozen=True)
class Contrast:
    """The largest difference between levels of a term's factors; of an interaction, the largest difference of
    differences. It is the mean over all places of the other factors at which all its arms are there.

    levels: of each factor of the term, the level that is added and the one that is subtracted.
    count: how many such contrasts there are. The interval of `difference` is adjusted over them by Bonferroni, so that
    it holds for the largest.
    """

    levels: tuple[tuple[int, int], ...]
    difference: Difference
    count: int


def decompose(
    values: np.ndarray, levels: np.ndarray, level: float = 0.95, ratio: float = 0.0, slack: np.ndarray | None = None
) -> Decomposition:
    r"""The decomposition of an experiment that is made with the same seeds at each arm.

    The test of term t compares $F = \frac{n \|P_t \bar y\|^2}{\mathrm{tr}\, S_t}$, $S_t$ the covariance of the seeds'
    effects $P_t y_s$, with the F distribution of $f$ and $f (n - 1)$ degrees of freedom,
    $f = (\mathrm{tr}\, S_t)^2 / \mathrm{tr}\, S_t^2$: Greenhouse and Geisser's correction, which needs no equal
    variances. Where one level is ten times as noisy it errs in up to 5.5 % of cases; Huynh and Feldt's errs in up to
    9.6 %, and Box's lower bound (f = 1) finds 11 % of what this finds 64 % of (scripts/simulated_grids.py).

    **Intervals.** By the same test of all terms together, the means of the arms lie within a ball of radius r about
    their estimates $\bar y$. Seen from the point of no effects, this ball has an angle of
    $\delta = \arcsin(r / \|\bar y - \bar{\bar y}\|)$ to each side. A share is the squared cosine of an angle, that
    between all effects and their part in the term, which is wrong by $\delta$ at most. So the intervals of all shares
    hold together, whatever the covariance of the arms. They are 0 to 1 where that test finds no effect.

    values: (n, C), one row for each seed. levels: (C, m) integers, the level of each factor at each arm; a grid may
    lack arms.
    ratio: of test to training samples where each seed has a split of its own, see `resampled.widened`; else 0.
    slack: (C,) by how much the mean of each arm may be wrong beside its noise: of a tuned arm, how far the means at
        its kept points are away. All of them together move $P_t \bar y$ by at most their norm, by which r is larger and
        $\|P_t \bar y\|$ is shorter in F. So a tuned arm differs only where it does at each point that is kept.

    Raises ValueError unless there are two seeds and two factors that vary, no arm stands there twice, all values are
    finite, and 0 < level < 1.
    """
    check_probability("level", level, 0.95)
    y, grid = np.asarray(values, dtype=float), _Grid(np.asarray(levels))
    n, arms = y.shape
    if n < 2 or arms != len(grid.levels) or not np.isfinite(y).all():
        raise ValueError(
            f"a decomposition needs two seeds or more with a finite value at each of the {len(grid.levels)} arms, got "
            f"an array of shape {y.shape}. Leave out the seeds that lack a run"
        )
    moved = 0.0 if slack is None else float(np.linalg.norm(slack))
    apart = y - y.mean(1, keepdims=True)  # what all arms of a seed have in common is no effect of a factor

    def part(of: np.ndarray) -> _Part:
        return _Part(of, 1 / n + ratio, level, moved, ROUNDING * float(np.abs(y).max()))

    terms = [(term, *grid.effects(apart, term)) for term in grid.terms]
    terms = [each for each in terms if each[-1]]
    parts, whole = [part(effects) for _, effects, _ in terms], part(apart)
    return Decomposition(
        n,
        [
            Effect(term, freedom, n * own.length**2, (n - 1) * own.trace, *_share(own, whole), own.f, p)
            for (term, _, freedom), own, p in zip(terms, parts, holm([own.p for own in parts]), strict=True)
        ],
        *_noise(y),
    )


class _Grid:
    """The terms of a grid and their projections."""

    def __init__(self, levels: np.ndarray):
        self.levels = levels
        factors = levels.shape[1]
        if factors < 2 or any(len(set(column)) < 2 for column in levels.T):
            raise ValueError(f"a grid has two factors or more that vary, got levels {levels.tolist()}")
        if len({tuple(row) for row in levels.tolist()}) < len(levels):
            raise ValueError("an arm stands once in a grid, got the same levels twice. Keep one of them")
        self.terms: list[Term] = [(k,) for k in range(factors)]
        self.terms += itertools.combinations(range(factors), 2)
        if factors > 2:
            self.terms.append(tuple(range(factors)))

    def effects(self, y: np.ndarray, term: Term) -> tuple[np.ndarray, int]:
        """P y_s of each seed (n, C), and the rank of P: what the term adds to those that do not contain it."""
        others = [other for other in self.terms if not set(term) <= set(other)]
        more, rank = self._fitted(y, [*others, term])
        less, before = self._fitted(y, others)
        return more - less, rank - before

    def _fitted(self, y: np.ndarray, terms: Sequence[Term]) -> tuple[np.ndarray, int]:
        """y_s fitted by least squares with a mean for each combination of levels of each term, and the rank."""
        arms, factors = self.levels.shape
        if any(len(term) == factors for term in terms):
            return y, arms
        columns = [np.ones((arms, 1))]
        for term in terms:
            _, which = np.unique(self.levels[:, term], axis=0, return_inverse=True)
            columns.append(np.eye(which.max() + 1)[which.reshape(-1)])
        x = np.hstack(columns)
        sizes, directions = np.linalg.eigh(x.T @ x)  # counts: what is not zero is far from it
        there = sizes > 1e-9 * sizes[-1]
        basis = x @ (directions[:, there] / np.sqrt(sizes[there]))
        return (y @ basis) @ basis.T, int(there.sum())


class _Part:
    r"""The part P of the seeds' scores: $\|P \bar y\|$, the trace of its covariance, and the F test that it is noise.

    radius: $\|P (\bar y - \mu)\|$ is at most that with probability `level`, which inverts the same test.
    moved: how far the mean may be moved beside noise.
    variance: $\|P \mu\|^2$, estimated without bias, so that it may be negative.
    """

    def __init__(self, part: np.ndarray, per_seed: float, level: float, moved: float, noise: float):
        n = len(part)
        mean = part.mean(0)
        apart = part - mean
        gram = apart @ apart.T / (n - 1)  # (n, n), with the eigenvalues of the covariance
        self.length = float(np.linalg.norm(mean))
        self.trace = float(np.trace(gram))
        self.variance = self.length**2 - per_seed * self.trace
        if self.trace <= noise**2:  # equal effects of all seeds: as in `paired_difference`
            there = self.length > noise + moved
            self.f = math.inf if there else math.nan
            self.p = 2.0 ** (1 - n) if there else 1.0
            self.radius = moved if self.p <= 1 - level else math.inf
            return
        from scipy.special import fdtrc, fdtri

        freedom = self.trace**2 / float((gram * gram).sum())
        self.f = max(0.0, self.length - moved) ** 2 / (per_seed * self.trace)
        self.p = float(fdtrc(freedom, freedom * (n - 1), self.f))
        self.radius = moved + math.sqrt(per_seed * self.trace * float(fdtri(freedom, freedom * (n - 1), level)))


def _share(own: _Part, whole: _Part) -> tuple[float, float, float]:
    """Share, low, high; see `decompose`."""
    this, others = max(0.0, own.variance), max(0.0, whole.variance - own.variance)
    share = this / (this + others) if this + others else math.nan
    if whole.radius >= whole.length:
        return share, 0.0, 1.0
    angle, turn = math.acos(min(1.0, own.length / whole.length)), math.asin(whole.radius / whole.length)
    low, high = math.cos(min(angle + turn, math.pi / 2)) ** 2, math.cos(max(angle - turn, 0.0)) ** 2
    return min(max(share, low), high), low, high


def _noise(values: np.ndarray) -> tuple[float, float]:
    """Standard deviation of a run around the mean of its arm, and the share of its square that arms have in common."""
    n, arms = values.shape
    apart = values - values.mean(0)
    variance = float((apart**2).sum()) / (n - 1) / arms
    if variance == 0:
        return 0.0, math.nan
    covariance = (float((apart.sum(1) ** 2).sum()) / (n - 1) - arms * variance) / (arms * (arms - 1))
    return math.sqrt(variance), min(1.0, max(0.0, covariance / variance))


def largest_contrast(
    values: np.ndarray,
    levels: np.ndarray,
    term: Term,
    level: float = 0.95,
    ratio: float = 0.0,
    slack: np.ndarray | None = None,
) -> Contrast | None:
    """The contrast of a term that is largest in size, with the sign that makes it positive. None where a grid that
    lacks arms has none, and where there are more than `MOST_CONTRASTS`.

    values, levels, level, ratio, slack: as in `decompose`.
    """
    y = np.asarray(values, dtype=float)
    sizes = levels.max(0) + 1
    if math.prod(math.comb(int(sizes[factor]), 2) for factor in term) > MOST_CONTRASTS:
        return None
    table = np.full((len(y), *sizes), np.nan)
    table[(slice(None), *levels.T)] = y
    others = tuple(1 + factor for factor in range(len(sizes)) if factor not in term)
    pairs = [np.triu_indices(sizes[factor], 1) for factor in term]
    means = _mean_of_present(_differences(table.mean(0, keepdims=True), term, pairs), others)[0]
    count = int((~np.isnan(means)).sum())
    if not count:
        return None
    place = np.unravel_index(np.nanargmax(np.abs(means)), means.shape)
    chosen = [(i[k : k + 1], j[k : k + 1]) for k, (i, j) in zip(place, pairs, strict=True)]
    if means[place] < 0:
        chosen[0] = chosen[0][::-1]
    own = _mean_of_present(_differences(table, term, chosen), others).reshape(-1)
    zero = np.zeros_like(own)
    found = paired_difference(widened(own, zero, ratio).tolist(), zero.tolist(), exact=False)
    low, high = found.limits((1 - level) / (2 * count))
    if slack is not None:
        reach = np.full((1, *sizes), np.nan)
        reach[(slice(None), *levels.T)] = slack
        moved = float(_mean_of_present(_differences(reach, term, chosen, 1.0), others).reshape(-1)[0])
        low, high = low - moved, high + moved
    return Contrast(tuple((int(i[0]), int(j[0])) for i, j in chosen), replace(found, low=low, high=high), count)


def _differences(
    table: np.ndarray, term: Term, pairs: Sequence[tuple[np.ndarray, np.ndarray]], sign: float = -1.0
) -> np.ndarray:
    """(n, ...): along the axis of each factor of the term, the first level of each pair minus (or plus) the second."""
    for factor, (first, second) in zip(term, pairs, strict=True):
        table = table.take(first, 1 + factor) + sign * table.take(second, 1 + factor)
    return table


def _mean_of_present(table: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The mean over these axes of what is not nan; nan for none."""
    there = ~np.isnan(table)
    count = there.sum(axes)
    return np.where(count > 0, np.where(there, table, 0.0).sum(axes) / np.maximum(count, 1), np.nan)

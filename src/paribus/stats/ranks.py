"""Arms over several data sets: mean ranks, and which arms the data sets tell apart."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from paribus.stats.multiple import holm

DRAWS = 5_000
FEWEST = 6  # data sets: with five, the smallest p of two arms is 2 / 2^5, above 5 %


@dataclass(frozen=True)
class Ranks:
    """K arms over n data sets.

    mean: (K,) mean ranks, 1 is best, ties share theirs.
    first: on how many data sets each arm is the best, alone or not.
    friedman: p of the hypothesis that all arms are alike. p: (K, K) of each pair, adjusted by Holm over all pairs.
    """

    n: int
    mean: np.ndarray
    first: list[int]
    friedman: float
    p: np.ndarray

    def groups(self, alpha: float = 0.05) -> list[tuple[int, ...]]:
        """The largest sets of arms, neighbours in their mean ranks, of which no two differ; none of a single arm."""
        order = [int(arm) for arm in np.argsort(self.mean, kind="stable")]
        ends: list[tuple[int, int]] = []
        for start in range(len(order)):
            end = start + 1
            while end < len(order) and all(self.p[arm, order[end]] > alpha for arm in order[start:end]):
                end += 1
            if end - start > 1 and (not ends or end > ends[-1][1]):
                ends.append((start, end))
        return [tuple(order[start:end]) for start, end in ends]


def ranked(scores: np.ndarray) -> Ranks:
    r"""Ranks of arms over data sets, which are taken as drawn from those that one might have chosen.

    Friedman's test asks whether all arms are alike, see `friedman`. Pairs are compared by Wilcoxon's signed ranks, see
    `signed_ranks`, adjusted by Holm, and not by their mean ranks as Nemenyi does: that test depends on which other arms
    there are.

    scores: (n, K), larger is better.

    Raises ValueError unless there are two data sets and two arms, and all scores are numbers.

    Sources: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets"; Benavoli, Corani & Mangili
    2016, "Should we really use post-hoc tests based on mean-ranks?".
    """
    x = np.asarray(scores, dtype=float)
    if x.ndim != 2 or min(x.shape) < 2 or np.isnan(x).any():
        raise ValueError(f"ranks need two data sets and two arms at least, all with a score, got shape {x.shape}")
    n, arms = x.shape
    ranks = np.array([_ranks(-row) for row in x])
    pairs = list(itertools.combinations(range(arms), 2))
    p = np.ones((arms, arms))
    for (i, j), adjusted in zip(pairs, holm([signed_ranks(x[:, i] - x[:, j]) for i, j in pairs]), strict=True):
        p[i, j] = p[j, i] = adjusted
    return Ranks(n, ranks.mean(0), [int(count) for count in (x == x.max(1, keepdims=True)).sum(0)], friedman(ranks), p)


def friedman(ranks: np.ndarray) -> float:
    r"""p of Friedman's test: how often $\sum_k (\bar r_k - \frac{K + 1}{2})^2$ is as large where the ranks of each data
    set are shuffled, in `DRAWS` random shuffles (the data as they are count as one more, so that p is exact).

    For few data sets the usual approximations are not: for six, and four arms that are alike, that of Iman & Davenport
    1980 rejects 6 % at 5 %, and for eight and two arms that of the chi-square distribution 7 %.

    ranks: (n, K). Source: Friedman 1937, "The use of ranks to avoid the assumption of normality".
    """
    n, arms = ranks.shape
    generator = np.random.default_rng(0)
    middle, own, more = n * (arms + 1) / 2, ((ranks.sum(0) - n * (arms + 1) / 2) ** 2).sum(), 0
    for size in np.diff(np.linspace(0, DRAWS, 11).astype(int)):  # a part at a time, for memory
        shuffled = generator.permuted(np.broadcast_to(ranks, (size, n, arms)), axis=2)
        more += int((((shuffled.sum(1) - middle) ** 2).sum(1) >= own - 1e-9).sum())
    return (1 + more) / (1 + DRAWS)


def signed_ranks(differences: np.ndarray) -> float:
    """Exact two-sided p of Wilcoxon's signed-rank test: the share of all sign patterns whose sum of ranks is as far
    from its middle. Differences of zero are left out, and ties share their ranks.

    Source: Wilcoxon 1945; Pratt & Gibbons 1981, section 3.7, for ties.
    """
    d = differences[differences != 0]
    if not len(d):
        return 1.0
    doubled = np.rint(2 * _ranks(np.abs(d))).astype(int)  # whole numbers, also of ranks that are shared
    ways = np.ones(1)
    for rank in doubled:  # how many patterns have each sum
        ways = np.concatenate([ways, np.zeros(rank)]) + np.concatenate([np.zeros(rank), ways])
    lower = min(int(doubled[d > 0].sum()), int(doubled[d < 0].sum()))
    return float(min(1.0, 2 * ways[: lower + 1].sum() / 2.0 ** len(d)))


def smallest(n: int, arms: int) -> float:
    """The smallest adjusted p that n data sets can give to a pair of so many arms."""
    return min(1.0, math.comb(arms, 2) * 2.0 ** (1 - n))


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1 for the smallest; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray = (ends - (counts - 1) / 2)[which.reshape(-1)]
    return ranks

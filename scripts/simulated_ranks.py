"""Simulation of paribus.stats.ranks, vectorised over replicates: errors of the tests of arms over data sets."""

from __future__ import annotations

import itertools
import math

import numpy as np
from simulated import Result

from paribus.stats.ranks import ranked

ALPHA = 0.05
CHECKED = 10  # replicates of each case that are computed by paribus.stats as well


def rankings(replicates: int, seed: int) -> Result:
    """Arms that are alike over data sets that differ in difficulty and in noise."""
    found = Result(
        "Arms that are alike, over data sets: Friedman's test and any pair by Wilcoxon's after Holm, at 5 %",
        ["data sets", "arms", "Friedman", "any pair", "a pair, each at 5 %"],
    )
    for n, arms in itertools.product((6, 10, 20), (2, 4, 8)):
        r = np.random.default_rng([seed, n, arms])
        x = r.normal(size=(replicates, n, arms)) * r.exponential(size=(replicates, n, 1)) + r.normal(size=(n, 1))
        spread = (((x.argsort(2).argsort(2) + 1).sum(1) - n * (arms + 1) / 2) ** 2).sum(1)
        alike = ((r.normal(size=(20_000, n, arms)).argsort(2).sum(1) - n * (arms - 1) / 2) ** 2).sum(1)
        friedman = (1 + len(alike) - np.searchsorted(np.sort(alike), spread - 1e-9)) / (1 + len(alike))
        table, pairs = wilcoxon(n), []
        for i, j in itertools.combinations(range(arms), 2):
            d = x[..., i] - x[..., j]
            ranks = np.abs(d).argsort(1).argsort(1) + 1
            up = np.where(d > 0, ranks, 0).sum(1)
            pairs.append(table[np.minimum(up, n * (n + 1) // 2 - up)])
        least = np.min(pairs, axis=0)
        for k in range(min(CHECKED, replicates)):
            own = ranked(x[k])
            smallest = own.p[np.triu_indices(arms, 1)].min()
            np.testing.assert_allclose(own.friedman, friedman[k], atol=0.03)  # of other random shuffles
            np.testing.assert_allclose(smallest, min(1.0, math.comb(arms, 2) * least[k]))  # Holm's first step
        shares = [float((p <= ALPHA).mean()) for p in (friedman, least * len(pairs), least)]
        found.rows.append([n, arms, *shares])
        for what, share in zip(("Friedman's test rejects", "a pair differs"), shares, strict=False):
            found.at_most(share, 0.055, replicates, f"{what} for {arms} equal arms on {n} data sets")
    return found


def wilcoxon(n: int) -> np.ndarray:
    """Two-sided p by the smaller sum of ranks, from the number of sets of ranks that have each sum."""
    ways = np.array([1.0])
    for rank in range(1, n + 1):
        ways = np.convolve(ways, np.eye(rank + 1)[0] + np.eye(rank + 1)[rank])
    return np.minimum(1.0, 2 * np.cumsum(ways) / 2.0**n)

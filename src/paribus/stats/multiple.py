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
    result: list[float] = adjusted.tolist()
    return result


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
    first, second = np.triu_indices(len(values), 1)
    mean, variance, n = _pairs(values)
    compared = n >= 2
    if not compared.any():
        return kept
    if not compared.all():
        first, second, mean, variance, n = (each[compared] for each in (first, second, mean, variance, n))
    active = np.zeros(len(values), dtype=bool)
    active[first] = active[second] = True
    values = values[active]
    from scipy.special import stdtrit

    pooled = float(((n - 1) * variance).sum() / (n - 1).sum())
    freedom = max(1, int((~np.isnan(values)).sum()) - len(values) - int((~np.isnan(values)).any(axis=0).sum()) + 1)
    spread = np.sqrt(np.maximum(variance, pooled) / n)
    level = alpha / (len(values) - 1)
    least = stdtrit(freedom, 1 - level) * spread
    # All differences of the table equal: t is not defined, and the sign-flip test has p = 2^-n.
    constant = spread <= 1e-12 * np.nanmax(np.abs(values))
    least[constant] = np.where(0.5 ** n[constant] < level, 0.0, np.inf)
    kept[second[mean > least]] = False
    kept[first[-mean > least]] = False
    return kept


def _pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K (K - 1) / 2,) each: mean, variance and number of the differences of the first arm of a pair minus the second,
    over shared seeds; pairs in the order of np.triu_indices."""
    columns = np.ascontiguousarray(values.T)  # sums over the first axis are several times as fast
    present = ~np.isnan(columns)
    complete = bool(present.all())
    mean, variance, n = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, dtype=int)]
    for k in range(len(values) - 1):  # an arm at a time: (K, K, S) would be gigabytes for thousands of arms
        d = columns[:, k, None] - columns[:, k + 1 :]
        shared = present[:, k, None] & present[:, k + 1 :]
        if not complete:
            d[~shared] = 0.0
        n.append(shared.sum(axis=0))
        mean.append(d.sum(axis=0) / np.maximum(n[-1], 1))
        d -= mean[-1]
        if not complete:
            d[~shared] = 0.0
        variance.append((d * d).sum(axis=0) / np.maximum(n[-1] - 1, 1))
    return np.concatenate(mean), np.concatenate(variance), np.concatenate(n)

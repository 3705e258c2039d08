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


def false_discovery(p: Sequence[float]) -> list[float]:
    r"""Adjusted p values in their order, $q_{(i)} = \min_{j \ge i} \min(1, m\, p_{(j)} / j)$: the smallest false
    discovery rate at which each stands.

    Of all that have $q \le 0.05$, 5 % are wrong in the mean, if the p values are independent or depend positively.
    nan stays nan and does not count. Source: Benjamini & Hochberg 1995.
    """
    values = np.asarray(p, dtype=float)
    real = np.flatnonzero(~np.isnan(values))
    order = real[np.argsort(values[real], kind="stable")]
    adjusted = values.copy()
    ascending = len(order) / np.arange(1, len(order) + 1) * values[order]
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(ascending[::-1])[::-1])
    result: list[float] = adjusted.tolist()
    return result


def not_beaten(values: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    r"""Which arms may be the best: a set that is to hold the truly best with probability 1 - alpha.

    Arm i of K leaves the set if some arm j is better in a one-sided paired t test at level alpha / (K - 1):
    $\bar d_{ji} > t_{n - 1, 1 - \alpha / (K - 1)}\, s_{ji} / \sqrt n$. Nothing is pooled over pairs: one noisy
    arm would make the others look alike. For two arms this is the paired t test. Source: subset selection, Gupta 1965.

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
    from scipy.special import stdtrit

    taking_part = np.zeros(len(values), dtype=bool)
    taking_part[first] = taking_part[second] = True
    level = alpha / (int(taking_part.sum()) - 1)
    spread = np.sqrt(variance / n)
    quantiles = stdtrit(np.arange(1.0, n.max()), 1 - level)  # of one degree of freedom, two, ...
    least = quantiles[n - 2] * spread
    # Where all differences are equal t is not defined, and the sign-flip test has p = 2^-n.
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
        if complete:
            n.append(np.full(d.shape[1], len(d)))
        else:
            shared = present[:, k, None] & present[:, k + 1 :]
            d[~shared] = 0.0
            n.append(shared.sum(axis=0))
        mean.append(d.sum(axis=0) / np.maximum(n[-1], 1))
        d -= mean[-1]
        if not complete:
            d[~shared] = 0.0
        variance.append((d * d).sum(axis=0) / np.maximum(n[-1] - 1, 1))
    return np.concatenate(mean), np.concatenate(variance), np.concatenate(n)

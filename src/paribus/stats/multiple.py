"""Many comparisons in one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    r"""Adjusted p values, $\tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})$, in the order given.

    They control the family-wise error under any dependence. nan stays nan and does not count. Source: Holm 1979.
    """
    values = np.asarray(p, dtype=float)
    real = np.flatnonzero(~np.isnan(values))
    order = real[np.argsort(values[real], kind="stable")]
    adjusted = values.copy()
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(len(order), 0, -1) * values[order]))
    return adjusted.tolist()


def not_beaten(values: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    r"""Which arms may still be the best: a set that holds the truly best arm with probability at least 1 - alpha.

    Arm i of K leaves the set if another arm is better in a one-sided paired t test at level alpha / (K - 1). For
    the best arm each of these K - 1 tests errs with at most that probability, hence the bound (Bonferroni). Source:
    subset selection, Gupta 1965, with paired tests in place of a common variance.

    values: (K, S), larger is better, one column for each seed, nan where an arm lacks it; arms are compared on the
    seeds that both have, and two arms that share fewer than two seeds leave each other alone.

    Returns (K,) booleans.
    """
    arms = len(values)
    kept = np.ones(arms, dtype=bool)
    if arms < 2:
        return kept
    from scipy.special import stdtr

    scale = np.nanmax(np.abs(values), initial=0.0)
    for i in range(arms):
        lead = values - values[i]  # (K, S)
        n = np.sum(~np.isnan(lead), axis=1)
        enough = n >= 2
        lead, n = lead[enough], n[enough]
        if not len(n):
            continue
        mean = np.nanmean(lead, axis=1)
        sd = np.nanstd(lead, axis=1, ddof=1)
        constant = sd <= 1e-12 * scale
        # All differences equal: no t, but a sign-flip test, whose one-sided p is 2^-n.
        t = mean / np.where(constant, 1.0, sd / np.sqrt(n))
        p = np.where(constant, np.where(mean > 1e-12 * scale, 0.5**n, 1.0), stdtr(n - 1, -t))
        kept[i] = not (p < alpha / (arms - 1)).any()
    return kept

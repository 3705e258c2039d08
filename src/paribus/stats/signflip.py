"""The sign-flip test of paired differences, exact for few pairs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LARGEST_EXACT = 32  # pairs; the exact test sorts 2^(n / 2) sums
ROUNDING = 1e-12  # relative to the values: what agrees to this is equal
DRAWS = 99_999
_FEW = 8  # differences, of which a product with all patterns is the faster way


@dataclass(frozen=True)
class SignFlip:
    """Two-sided p value of n paired differences; exact up to `LARGEST_EXACT` pairs, above from random sign patterns.

    floor: what p can never fall below with n pairs. A floor above the level means: more seeds, whatever they show.
    """

    n: int
    p: float
    floor: float
    exact: bool


def sign_flip(differences: Sequence[float]) -> SignFlip:
    r"""Share of the $2^n$ sign patterns s with $|\sum_i s_i d_i| \ge |\sum_i d_i|$.

    Valid for every n and every distribution of d that is symmetric about zero, as that of a - b is if both arms are
    alike. Up to `LARGEST_EXACT` pairs all patterns count: the sums of the first half of d and those of the second
    half are sorted, and each of the former is matched with the range of the latter that takes it over the threshold.
    Above, $p = (1 + \text{hits}) / (1 + \text{draws})$ over 99,999 random patterns, which is valid as well. They are
    the same patterns for all differences of one n, so that a table comes out the same again.

    differences: (n,), finite. No difference has p = 1.

    Raises ValueError for a difference that is not finite.

    Sources: Fisher 1935, section 21; Phipson & Smyth 2010 for random patterns; Horowitz & Sahni 1974 for the halves.
    """
    d = np.asarray(differences, dtype=float)
    if not np.isfinite(d).all():
        raise ValueError(
            f"differences must be finite, got {d[~np.isfinite(d)][0]}. Score diverged runs at chance first"
        )
    n = d.size
    threshold = abs(d.sum()) - ROUNDING * np.abs(d).sum()
    if n <= LARGEST_EXACT:
        # Every pattern has its mirror image. Without the symmetry, p of equal values could miss them by rounding.
        p = 1.0 if threshold <= 0 else min(1.0, 2.0 ** (1 - n) * _sums_above(d, threshold))
        return SignFlip(n, p, sign_flip_floor(n), True)
    hits = int((np.abs(_random_sums(d)) >= threshold).sum())
    return SignFlip(n, (1 + hits) / (1 + DRAWS), sign_flip_floor(n), False)


def _random_sums(d: np.ndarray) -> np.ndarray:
    """(DRAWS,): the sums of random sign patterns. The sums of all patterns of 16 values at a time are looked up by 16
    random bits. Bits of PCG64 are the same in every version."""
    drawn = _draws(d.size)
    parts = np.concatenate([d, np.zeros(16 * len(drawn) - d.size)]).reshape(-1, 16)
    sums = np.zeros(DRAWS)
    for part, row in zip(parts, drawn, strict=True):
        sums += _sums(part)[row]
    return sums


@functools.lru_cache(maxsize=4)
def _draws(n: int) -> np.ndarray:
    """(words, DRAWS): random patterns of n signs, 16 of them in each word."""
    words = -(-n // 16)
    bits = np.random.PCG64(n).random_raw(-(-DRAWS * words // 4)).astype("<u8").view("<u2")
    return bits[: DRAWS * words].reshape(words, DRAWS)


def sign_flip_floor(n: int) -> float:
    """2 / 2^n, the smallest p value that n pairs can have: 5 pairs never reach 0.05, 6 can."""
    return min(1.0, 2.0 ** (1 - n))


def _sums_above(d: np.ndarray, threshold: float) -> int:
    first, second = _sums(d[: d.size // 2]), np.sort(_sums(d[d.size // 2 :]))
    return int((second.size - np.searchsorted(second, threshold - np.sort(first))).sum())


def _sums(d: np.ndarray) -> np.ndarray:
    """(2^n,): the sum of every sign pattern."""
    if d.size <= _FEW:
        few: np.ndarray = _patterns(d.size) @ d
        return few
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    return sums


@functools.lru_cache
def _patterns(n: int) -> np.ndarray:
    """(2^n, n): every pattern of signs."""
    return np.array(list(itertools.product((1.0, -1.0), repeat=n))).reshape(2**n, n)

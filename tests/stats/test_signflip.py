"""The sign-flip test against counting every pattern, and its validity."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.signflip import LARGEST_EXACT, sign_flip, sign_flip_floor


@pytest.mark.parametrize("n", [1, 2, 3, 6, 11])
def test_every_pattern_counts(n):
    for seed in range(5):
        d = np.random.default_rng([n, seed]).normal(0.4, 1.0, n)
        sums = np.abs([np.dot(signs, d) for signs in itertools.product([-1, 1], repeat=n)])
        assert sign_flip(d).p == pytest.approx(np.mean(sums >= abs(d.sum()) - 1e-12), abs=1e-15)


def test_ties_count_whatever_the_rounding():
    """0.1 + 0.2 and 0.3 are the same sum."""
    assert sign_flip([0.1, 0.2, -0.3]).p == 1.0
    assert sign_flip([0.1] * 6).p == 2 / 2**6
    assert sign_flip([0.0, 0.0, 1.0]).p == 1.0


def test_the_floor():
    for n in (1, 5, 6, 20):
        found = sign_flip(np.linspace(1, 2, n))
        assert found.p == found.floor == sign_flip_floor(n) == 2 / 2**n
    assert sign_flip([]).p == 1.0
    assert sign_flip_floor(5) > 0.05 > sign_flip_floor(6)


def test_many_pairs_are_sampled_and_agree_with_the_normal_limit():
    d = np.random.default_rng(0).normal(0.3, 1.0, LARGEST_EXACT + 20)
    found = sign_flip(d)
    z = abs(d.sum()) / math.sqrt((d**2).sum())
    assert not found.exact
    assert found.p == pytest.approx(2 * stats.norm.sf(z), abs=0.01)
    assert sign_flip(d).p == found.p


def test_the_largest_exact_test_agrees_with_sampling():
    d = np.random.default_rng(3).normal(0.3, 1.0, LARGEST_EXACT)
    signs = np.random.default_rng(4).choice([-1, 1], (50_000, d.size))
    share = np.mean(np.abs(signs @ d) >= abs(d.sum()))
    assert sign_flip(d).exact
    assert sign_flip(d).p == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 50_000))


def test_it_rejects_at_most_as_often_as_it_says_for_skewed_arms():
    """Two arms with the same skewed distribution differ symmetrically."""
    pairs = np.random.default_rng(5).exponential(size=(3_000, 2, 8))
    share = np.mean([sign_flip(a - b).p <= 0.05 for a, b in pairs])
    assert share <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3_000)


def test_mistakes():
    with pytest.raises(ValueError, match="finite, got nan"):
        sign_flip([1.0, math.nan])

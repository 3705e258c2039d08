"""Paired comparisons against scipy.stats, and where its t test has no answer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.paired import paired_difference


@pytest.mark.parametrize("n", [2, 3, 10, 40])
def test_agrees_with_scipy(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert found.d_z == pytest.approx(expected.statistic / math.sqrt(n), rel=1e-10)
    assert (found.n, found.mean) == pytest.approx((n, np.mean(a - b)))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_sign_flip_counts_all_patterns(n):
    a = np.random.default_rng(n).normal(0.5, 1.0, n)
    sums = [abs(np.dot(signs, a)) for signs in itertools.product([-1, 1], repeat=n)]
    expected = np.mean(np.asarray(sums) >= abs(a.sum()) - 1e-12)
    assert paired_difference(a, np.zeros(n)).p_sign_flip == pytest.approx(expected, abs=1e-15)


def test_sign_flip_of_larger_samples_agrees_with_scipy():
    d = np.random.default_rng(0).normal(0.3, 1.0, 14)
    expected = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False)
    assert paired_difference(d, np.zeros(14)).p_sign_flip == pytest.approx(expected.pvalue, abs=1e-12)


def test_the_floor_and_the_limit_of_the_sign_flip_test():
    for n in (2, 5, 16):
        a = np.linspace(1, 2, n)
        assert paired_difference(a, np.zeros(n)).p_sign_flip == 2 / 2**n


def test_many_pairs_have_a_sign_flip_p_too():
    d = np.random.default_rng(1).normal(0.25, 1.0, 90)
    signs = np.random.default_rng(2).choice([-1.0, 1.0], (20_000, 90))
    expected = (1 + np.count_nonzero(np.abs(signs @ d) >= abs(d.sum()) - 1e-9)) / 20_001
    found = paired_difference(d, np.zeros(90)).p_sign_flip
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / 20_000))
    assert paired_difference(d, np.zeros(90)).p_sign_flip == found  # the same again
    assert paired_difference(d + 3, np.zeros(90)).p_sign_flip == pytest.approx(1e-5)


def test_three_equal_differences_are_no_proof():
    """Each arm one test sample better with every seed: the t statistic would be infinite."""
    b = np.array([350, 347, 352]) / 360
    found = paired_difference(b + 1 / 360, b)
    assert (found.sd, found.p, found.p_sign_flip) == (0.0, 0.25, 0.25)
    assert found.low == found.mean == found.high == pytest.approx(1 / 360)
    assert found.d_z == math.inf


def test_the_same_arm_twice_does_not_differ():
    found = paired_difference([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert (found.mean, found.p, found.p_sign_flip, found.d_z) == (0.0, 1.0, 1.0, 0.0)


def test_few_pairs_and_wrong_pairs():
    assert math.isnan(paired_difference([1.0], [2.0]).p)
    assert paired_difference([1.0], [2.0]).mean == -1.0
    assert paired_difference([], []).n == 0
    with pytest.raises(ValueError, match="got 1 and 2"):
        paired_difference([1.0], [1.0, 2.0])

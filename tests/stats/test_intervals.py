"""Means and their intervals against scipy.stats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.intervals import mean_interval, t_quantile


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_agrees_with_scipy(n, level):
    x = np.random.default_rng(n).normal(3.0, 2.0, n)
    found = mean_interval(x, level)
    expected = stats.ttest_1samp(x, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (found.n, found.mean, found.sd) == pytest.approx((n, np.mean(x), np.std(x, ddof=1)), rel=1e-14)
    assert found.half_width == pytest.approx((expected.high - expected.low) / 2, rel=1e-12)
    assert t_quantile(0.9, n) == pytest.approx(stats.t.ppf(0.9, n), rel=1e-12)


def test_one_value_has_no_interval_and_none_no_mean():
    one, none = mean_interval([0.25]), mean_interval([])
    assert (one.n, one.mean) == (1, 0.25)
    assert none.n == 0
    assert all(map(math.isnan, (one.sd, one.low, one.high, one.half_width, none.mean, none.sd, none.half_width)))


def test_equal_values_have_no_deviation_whatever_the_rounding():
    for n in range(2, 12):
        found = mean_interval([0.1] * n)
        assert (found.mean, found.sd, found.low, found.high) == (0.1, 0.0, 0.1, 0.1)


def test_what_is_not_finite_shows():
    assert math.isnan(mean_interval([1.0, math.nan]).mean)
    assert mean_interval([1.0, math.inf]).mean == math.inf
    assert math.isnan(mean_interval([1.0, math.inf]).half_width)


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, math.nan])
def test_a_level_is_a_probability(level):
    with pytest.raises(ValueError, match=r"level .*Try 0\.95"):
        mean_interval([1, 2], level)


def test_coverage():
    """A nominal 95 % interval of normal values covers their mean in 95 % of the samples."""
    samples = np.random.default_rng(0).normal(size=(4_000, 4))
    hits = np.mean([found.low <= 0 <= found.high for found in map(mean_interval, samples)])
    assert abs(hits - 0.95) < 4 * math.sqrt(0.95 * 0.05 / len(samples))

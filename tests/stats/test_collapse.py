"""Runs that collapse: which they are, what they add to a comparison, and how arms are compared by them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.collapse import collapses, falls, fisher, not_excluded
from paribus.stats.paired import paired_difference, with_falls
from paribus.stats.proportions import clopper_pearson


def test_a_collapse_is_nearer_to_chance_than_to_the_median():
    found = collapses([0.97, 0.96, 0.98, 0.5, 0.97], 0.1)
    assert (found.count, found.n) == (1, 5)
    assert found.deepest == pytest.approx(0.5 - 0.97)
    assert found.rate == clopper_pearson(1, 5)
    assert collapses([0.97, 0.96, 0.98, 0.6], 0.1).count == 0
    assert collapses([0.97, 0.1, 0.98], 0.1).count == 1  # at chance: it diverged
    assert collapses([0.1, 0.1, 0.1, 0.9, math.nan], 0.1).count == 3  # most do
    assert collapses([0.1, 0.1], 0.1).deepest == 0.0
    loss = collapses([0.1, 0.12, 2.3, 1.9, 0.11], 2.3, higher=False)
    assert (loss.count, loss.deepest) == (2, pytest.approx(2.3 - 0.115))
    assert collapses([], 0.1).n == 0


def test_nothing_falls_in_an_arm_that_does_no_better_than_guessing():
    below = [0.008, 0.011, 0.010, 0.022, 0.012]  # chance is 0.032: the fourth is nearer to it than to the median
    assert collapses(below, 0.032).count == 0
    assert collapses([*below, 0.032], 0.032).count == 1  # it diverged, and was scored at chance
    assert collapses([3.5, 3.6, 3.4, 3.31], 3.3, higher=False).count == 0
    assert collapses([3.5, 3.6, 3.4, 3.31], 3.3).count == 1  # of a metric in which 3.3 is the worst


def test_without_a_chance_level_only_a_diverged_run_is_one():
    found = collapses([3.0, 2.5, math.inf, 900.0], math.nan)
    assert (found.count, found.deepest) == (1, 0.0)


def test_one_more_collapse_counts_in_the_bounds():
    a = np.array([0.97, 0.96, 0.98, 0.975, 0.3, 0.97, 0.965, 0.972])
    b = np.array([0.95, 0.94, 0.96, 0.955, 0.96, 0.95, 0.945, 0.95])
    found = falls(float(np.median(a - b)), collapses(a, 0.1), collapses(b, 0.1))
    assert found == pytest.approx((np.median(a - b) + 0.3 - np.median(np.delete(a, 4)),))
    difference = with_falls(paired_difference(a, b), found)
    values = np.append(a - b, found)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert difference.limits(0.025) == pytest.approx((expected.low, expected.high))
    assert difference.p_above(0.0) == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
    assert difference.p_below(0.01) == pytest.approx(stats.ttest_1samp(values, 0.01, alternative="less").pvalue)
    assert (difference.n, difference.mean) == (8, pytest.approx((a - b).mean()))  # what is printed are the runs' own


def test_each_arm_has_its_fall():
    once, clean = collapses([0.9, 0.9, 0.1], 0.1), collapses([0.9, 0.9, 0.9], 0.1)
    assert falls(0.01, clean, clean) == ()
    assert falls(0.01, once, clean) == pytest.approx((0.01 - 0.8,))
    assert falls(0.01, clean, once) == pytest.approx((0.01 + 0.8,))
    assert falls(0.01, once, once, pairs=2) == pytest.approx((0.01 - 0.4, 0.01 + 0.4))


def test_what_clean_runs_do_not_exclude():
    assert not_excluded(10) == pytest.approx(stats.beta.ppf(0.95, 1, 10))
    assert not_excluded(0) == 1.0


def test_rates_are_compared_by_fishers_test():
    for count, n, other, of in ((1, 10, 0, 10), (5, 12, 0, 9), (3, 20, 9, 20), (0, 5, 0, 5), (7, 7, 0, 4)):
        expected = stats.fisher_exact([[count, n - count], [other, of - other]]).pvalue
        assert fisher(count, n, other, of) == pytest.approx(expected)

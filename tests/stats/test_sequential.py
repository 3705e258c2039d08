"""Sequential seeds: the arithmetic of looks; that errors are controlled is in tests/test_simulations.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.sequential import Looks, bounds_level, sequential_difference, sequential_p

LOOKS = Looks((10, 20, 30))


def test_shares_of_the_error_sum_to_one():
    assert LOOKS.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert Looks((3, 6, 12, 24)).shares == pytest.approx((1 / 8, 1 / 8, 1 / 4, 1 / 2))
    assert sum(Looks((5, 7, 30)).shares) == pytest.approx(1.0)
    assert [LOOKS.reached(n) for n in (9, 10, 29, 30, 99)] == [0, 1, 2, 3, 3]
    assert [LOOKS.next(n) for n in (0, 10, 25, 30)] == [10, 20, 30, None]


def test_p_is_the_smallest_of_what_each_look_may_spend():
    assert sequential_p([0.01], LOOKS) == pytest.approx(0.03)
    assert sequential_p([0.2, 0.01], LOOKS) == pytest.approx(0.03)
    assert sequential_p([0.9], LOOKS) == 1.0
    assert sequential_p([math.nan, 0.01], LOOKS) == pytest.approx(0.03)
    assert math.isnan(sequential_p([], LOOKS))


@pytest.mark.parametrize("n", [10, 17, 20, 30, 35])
def test_a_difference_looks_at_whole_looks_only(n):
    a, b = np.random.default_rng(n).normal(0.3, 1.0, (2, n))
    found = sequential_difference(a, b, LOOKS)
    sizes = [size for size in LOOKS.sizes if size <= n]
    p = [stats.ttest_rel(a[:size], b[:size]).pvalue for size in sizes]
    assert found.p == pytest.approx(min(1.0, 3 * min(p)))
    interval = stats.ttest_rel(a[: sizes[-1]], b[: sizes[-1]]).confidence_interval(1 - 0.05 / 3)
    assert (found.n, found.low, found.high) == pytest.approx((sizes[-1], interval.low, interval.high))
    assert bounds_level(n, LOOKS) == pytest.approx(1 - 0.05 / 3)


def test_before_the_first_look_there_is_nothing():
    found = sequential_difference(np.ones(9), np.zeros(9), LOOKS)
    assert found.n == 0
    assert math.isnan(found.p)
    assert bounds_level(9, LOOKS) == bounds_level(9, None) == 0.95


def test_missing_runs_are_left_out_of_their_look():
    a, b = np.random.default_rng(0).normal(size=(2, 10))
    a[3] = math.nan
    found = sequential_difference(a, b, Looks((10, 20)))
    kept = [k for k in range(10) if k != 3]
    assert found.p == pytest.approx(min(1.0, 2 * stats.ttest_rel(a[kept], b[kept]).pvalue))
    assert found.n == 9


def test_mistakes():
    for sizes in ((), (1, 2), (10, 10), (20, 10)):
        with pytest.raises(ValueError, match="ascending"):
            Looks(sizes)
    with pytest.raises(ValueError, match="got 1 and 2"):
        sequential_difference([1.0], [1.0, 2.0], LOOKS)

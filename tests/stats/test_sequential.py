"""Sequential seeds: the arithmetic of looks; that errors are controlled is in tests/test_simulations.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.sequential import Looks, paired_stages

LOOKS = Looks((10, 20, 30))


def test_shares_of_the_error_sum_to_one():
    assert LOOKS.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert Looks((3, 6, 12, 24)).shares == pytest.approx((1 / 8, 1 / 8, 1 / 4, 1 / 2))
    assert sum(Looks((5, 7, 30)).shares) == pytest.approx(1.0)
    assert [LOOKS.reached(n) for n in (9, 10, 29, 30, 99)] == [0, 1, 2, 3, 3]
    assert [LOOKS.next(n) for n in (0, 10, 25, 30)] == [10, 20, 30, None]


@pytest.mark.parametrize("n", [10, 17, 20, 30, 35])
def test_a_difference_looks_at_whole_looks_only(n):
    a, b = np.random.default_rng(n).normal(0.3, 1.0, (2, n))
    found = paired_stages(a, b, LOOKS)
    sizes = [size for size in LOOKS.sizes if size <= n]
    assert [each.n for each in found] == sizes
    assert [each.share for each in found] == pytest.approx([1 / 3] * len(sizes))
    for each, size in zip(found, sizes, strict=True):
        expected = stats.ttest_rel(a[:size], b[:size])
        interval = expected.confidence_interval(1 - 0.05 / 3)
        assert each.limits(0.025) == pytest.approx((interval.low, interval.high))
        assert 2 * min(each.p_above(0.0), each.p_below(0.0)) == pytest.approx(min(2, 3 * expected.pvalue))
    assert LOOKS.share(n) == pytest.approx(1 / 3)


def test_without_looks_there_is_one_difference_of_all():
    a, b = np.random.default_rng(0).normal(0.3, 1.0, (2, 7))
    [found] = paired_stages(a, b, None)
    assert (found.n, found.share) == (7, 1.0)


def test_before_the_first_look_there_is_nothing():
    assert paired_stages(np.ones(9), np.zeros(9), LOOKS) == []
    assert LOOKS.share(9) == 1.0


def test_missing_runs_are_left_out_of_their_look():
    a, b = np.random.default_rng(0).normal(size=(2, 10))
    a[3] = math.nan
    [found] = paired_stages(a, b, Looks((10, 20)))
    kept = [k for k in range(10) if k != 3]
    assert found.p == pytest.approx(stats.ttest_rel(a[kept], b[kept]).pvalue)
    assert found.n == 9


def test_mistakes():
    for sizes in ((), (1, 2), (10, 10), (20, 10)):
        with pytest.raises(ValueError, match="ascending"):
            Looks(sizes)
    with pytest.raises(ValueError, match="got 1 and 2"):
        paired_stages([1.0], [1.0, 2.0], LOOKS)

"""Looks that are changed after some of them are over."""

import itertools

import numpy as np
import pytest

from paribus.stats.amended import NOTHING, amended, linear


def test_a_cap_that_is_raised_gets_what_is_left():
    sizes, shares = amended((10, 20), linear((10, 20)), 10, (10, 90))
    assert sizes == (10, 90)
    assert shares == (0.5, 0.5)


def test_nothing_is_left_after_the_only_look():
    assert amended((10,), [1.0], 10, (10, 90)) == ((10, 90), (1.0, NOTHING))


def test_before_the_first_result_everything_may_be_changed():
    sizes, shares = amended((10, 90), linear((10, 90)), 0, (5, 10))
    assert (sizes, shares) == ((5, 10), (0.5, 0.5))


def test_a_look_that_is_partly_over_has_spent_its_part():
    sizes, shares = amended((10, 30), linear((10, 30)), 20, (10, 30, 50))
    assert sizes == (10, 30, 50)
    left = 1 - 1 / 3 - (2 / 3) * 10 / 20
    assert shares == pytest.approx((1 / 3, left / 3, 2 * left / 3))


def test_other_tests_at_looks_that_are_over_get_nothing():
    sizes, shares = amended((10, 20), linear((10, 20)), 10, (10, 20), same=False)
    assert (sizes, shares) == ((10, 20), (NOTHING, 0.5))


def test_other_seeds_have_had_no_look():
    assert amended((10, 20), linear((10, 20)), 10, (10, 20), fresh=True) == ((10, 20), (0.25, 0.25))


def test_however_often_looks_are_amended_all_of_the_error_is_spent_once():
    r = np.random.default_rng(0)
    for _ in range(300):
        sizes, shares, seen = (10, 20), tuple(linear((10, 20))), 0
        spent, total = {}, 1.0
        for _ in range(6):
            seen = int(r.integers(seen, max(seen, sizes[-1]) + 1))
            spent |= {size: share for size, share in zip(sizes, shares, strict=True) if size <= seen}
            wanted = tuple(sorted({int(each) for each in r.integers(2, 100, 3)}))
            sizes, shares = amended(sizes, shares, seen, wanted)
            assert spent.items() <= dict(zip(sizes, shares, strict=True)).items()  # what was settled stays settled
            assert sum(shares) <= total + 10 * NOTHING
            assert all(size > last for last, size in itertools.pairwise(sizes))
            total = sum(shares)

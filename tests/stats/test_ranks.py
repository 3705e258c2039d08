"""Ranks over data sets against scipy, and groups of arms that are not told apart."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.multiple import holm
from paribus.stats.ranks import DRAWS, FEWEST, Ranks, friedman, ranked, signed_ranks, smallest


def test_friedman_counts_the_shuffles_of_each_data_set():
    """All 6^3 of them, of three arms on three data sets, one with a tie."""
    x = np.array([[3.0, 2.0, 1.0], [2.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    ranks = [stats.rankdata(-row) for row in x]
    every = [np.sum(each, axis=0) for each in itertools.product(*map(list, map(itertools.permutations, ranks)))]
    spread = [((total - 6) ** 2).sum() for total in every]
    own = ((np.sum(ranks, axis=0) - 6) ** 2).sum()
    assert friedman(np.array(ranks)) == pytest.approx(np.mean(np.array(spread) >= own - 1e-9), abs=0.02)


def test_friedman_agrees_with_scipy_where_its_approximation_is_good():
    x = np.random.default_rng(0).normal(size=(40, 4)) + np.array([0, 0.1, 0.2, 0.4])
    found = ranked(x)
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*x.T).pvalue, abs=0.02)
    np.testing.assert_allclose(found.mean, stats.rankdata(-x, axis=1).mean(0))
    assert found.first == [int((x[:, k] == x.max(1)).sum()) for k in range(4)]


@pytest.mark.parametrize("n", [3, 6, 12, 25])
def test_signed_ranks_agree_with_scipy(n):
    d = np.random.default_rng(n).normal(0.4, 1, n)
    assert signed_ranks(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


def test_signed_ranks_with_ties_and_zeros_count_all_patterns():
    d = np.array([1.0, -1.0, 2.0, 2.0, 3.0, 0.0, -0.5, 2.0])
    left = d[d != 0]
    ranks = stats.rankdata(np.abs(left))
    sums = [(ranks * (np.array(signs) > 0)).sum() for signs in itertools.product([1, -1], repeat=len(left))]
    middle, own = ranks.sum() / 2, ranks[left > 0].sum()
    assert signed_ranks(d) == pytest.approx(np.mean(np.abs(np.array(sums) - middle) >= abs(own - middle)))
    assert signed_ranks(np.zeros(4)) == 1.0


def test_pairs_are_adjusted_by_holm():
    x = np.random.default_rng(1).normal(size=(12, 3)) + np.array([0, 1, 3])
    found = ranked(x)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = holm([stats.wilcoxon(x[:, i] - x[:, j], method="exact").pvalue for i, j in pairs])
    assert [found.p[i, j] for i, j in pairs] == pytest.approx(expected)
    np.testing.assert_array_equal(found.p, found.p.T)


def test_groups_are_the_largest_neighbours_that_do_not_differ():
    p = np.ones((4, 4))
    for i, j in ((0, 2), (0, 3), (1, 3)):
        p[i, j] = p[j, i] = 0.01
    found = Ranks(8, np.array([1.0, 2.0, 3.0, 4.0]), [8, 0, 0, 0], 0.0, p)
    assert found.groups() == [(0, 1), (1, 2), (2, 3)]
    assert Ranks(8, np.array([4.0, 3.0, 2.0, 1.0]), [0, 0, 0, 8], 0.0, np.ones((4, 4))).groups() == [(3, 2, 1, 0)]
    assert Ranks(8, found.mean, found.first, 0.0, np.zeros((4, 4))).groups() == []


def test_the_best_arm_of_all_data_sets_has_the_smallest_p():
    x = np.arange(8.0)[:, None] + np.array([0, 1, 2])
    found = ranked(x)
    assert found.friedman == 1 / (1 + DRAWS)
    assert found.p[0, 2] == pytest.approx(3 * 2 / 2**8) == smallest(8, 3)
    assert smallest(FEWEST, 2) <= 0.05 < smallest(FEWEST - 1, 2)


def test_arms_that_are_all_equal_are_alike():
    found = ranked(np.ones((6, 3)))
    assert (found.friedman, found.p[0, 1], found.mean.tolist()) == (1.0, 1.0, [2.0, 2.0, 2.0])


@pytest.mark.parametrize("scores", [np.ones((1, 3)), np.ones((3, 1)), np.ones(3), np.full((3, 3), math.nan)])
def test_mistakes(scores):
    with pytest.raises(ValueError, match="two data sets and two arms at least"):
        ranked(scores)

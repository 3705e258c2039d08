"""Probabilities of better, same and worse against scipy, and against a Monte Carlo that is written in another way."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from paribus.stats.paired import paired_difference, with_falls
from paribus.stats.practical import PRIOR, Practical, over_data_sets, over_seeds
from paribus.stats.resampled import widened
from paribus.stats.tuned import tuned_difference

D = 0.5


def values(found: Practical) -> tuple[float, float, float]:
    return found.above, found.same, found.below


def of_t(d: np.ndarray, variance: float) -> list[float]:
    """Of the posterior of Corani & Benavoli 2015, equation 8."""
    posterior = stats.t(len(d) - 1, np.mean(d), math.sqrt(variance))
    low, high = posterior.cdf(-D), posterior.cdf(D)
    return [1 - high, high - low, low]


@pytest.mark.parametrize("n", [2, 5, 10, 40])
def test_over_seeds_is_the_posterior_of_student(n):
    a, b = np.random.default_rng(n).normal(0.2, 1, size=(2, n))
    found = over_seeds(paired_difference(a, b), D)
    assert values(found) == pytest.approx(of_t(a - b, np.var(a - b, ddof=1) / n))
    assert values(over_seeds(paired_difference(b, a), D)) == pytest.approx(values(found.turned))


def test_over_splits_it_is_the_correlated_t_test():
    """Corani & Benavoli: variance (1 / n + rho / (1 - rho)) s^2, rho the share of the samples that test."""
    a, b = np.random.default_rng(0).normal(0.5, 1, size=(2, 10))
    train, test = 80, 20
    rho = test / (train + test)
    found = over_seeds(paired_difference(widened(a, b, test / train), b), D)
    assert values(found) == pytest.approx(of_t(a - b, np.var(a - b, ddof=1) * (1 / 10 + rho / (1 - rho))))


def test_equal_differences_are_no_proof():
    assert values(over_seeds(paired_difference([1.0] * 3, [0.0] * 3), D)) == (7 / 8, 1 / 16, 1 / 16)
    assert values(over_seeds(paired_difference([0.0] * 3, [0.0] * 3), D)) == (1 / 16, 7 / 8, 1 / 16)
    assert values(over_seeds(paired_difference([0.0] * 3, [1.0] * 3), D)) == (1 / 16, 1 / 16, 7 / 8)
    assert all(map(math.isnan, values(over_seeds(paired_difference([1.0], [0.0]), D))))


def test_a_collapse_counts_and_repeated_looks_do_not():
    d = paired_difference([1.0, 1.2, 0.9, 1.1], [0.0] * 4)
    alone, fallen = over_seeds(d, D), over_seeds(with_falls(d, [-20.0]), D)
    x = np.array([1.0, 1.2, 0.9, 1.1, -20.0])
    assert values(fallen) == pytest.approx(of_t(x, np.var(x, ddof=1) / 5))
    assert over_seeds(replace(d, share=0.3), D) == alone


def test_a_tuned_arm_is_better_only_where_it_beats_each_kept_point():
    r = np.random.default_rng(3)
    kept_a, kept_b = r.normal(1.0, 0.5, size=(2, 8)), np.array([[0.0], [0.4], [0.9]]) + r.normal(0, 0.5, size=(3, 8))
    a, b = kept_a[0], kept_b[2]
    found = over_seeds(tuned_difference([a], [b], [kept_a], [kept_b]), D)
    up = [of_t(d := a - each, np.var(d, ddof=1) / 8) for each in kept_b]
    down = [of_t(d := each - b, np.var(d, ddof=1) / 8) for each in kept_a]
    assert found.above == pytest.approx(min(each[0] for each in up))
    assert found.below == pytest.approx(min(each[2] for each in down))
    assert found.same == pytest.approx(min(each[1] for each in (*up, *down)))
    assert sum(values(found)) < 1


def test_over_data_sets_is_a_dirichlet_process():
    """The mean of a measure drawn by sticks (Sethuraman 1994), pair by pair, against weights from a Dirichlet."""
    z = np.array([0.9, 0.2, 1.4, -0.8, 0.6, 1.1, -0.3])
    r, counts, draws = np.random.default_rng(1), np.zeros(3), 3_000
    points = np.concatenate([[0.0], z])
    share = np.concatenate([[PRIOR], np.ones(len(z))]) / (PRIOR + len(z))
    for _ in range(draws):
        sticks = r.beta(1, PRIOR + len(z), size=200)
        sizes = sticks * np.cumprod(np.concatenate([[1.0], 1 - sticks[:-1]]))
        weights = np.bincount(r.choice(len(points), size=200, p=share), sizes, len(points))
        sums = np.zeros(3)
        for (i, u), (j, v) in itertools.product(enumerate(points), enumerate(points)):
            sums[0 if u + v > 2 * D else 2 if u + v < -2 * D else 1] += weights[i] * weights[j]
        counts[sums.argmax()] += 1
    assert values(over_data_sets(z, D)) == pytest.approx(counts / draws, abs=0.03)


def test_over_one_data_set_it_has_a_closed_form():
    """z = 0.8 > d, so pairs with the prior's zero are the same: w_1^2 > 1/2, and w_1 ~ Beta(1, 1/2)."""
    found = over_data_sets(np.array([0.8]), D)
    assert found.above == pytest.approx(stats.beta(1, PRIOR).sf(math.sqrt(0.5)), abs=0.008)
    assert found.below == 0.0
    assert found.above + found.same == pytest.approx(1)


def test_over_data_sets_is_symmetric_and_certain_where_all_agree():
    z = np.random.default_rng(5).normal(0.4, 1, 12)
    assert values(over_data_sets(-z, D)) == pytest.approx(values(over_data_sets(z, D).turned))
    assert over_data_sets(np.full(12, 3.0), D).above > 0.99
    assert over_data_sets(np.zeros(12), D) == Practical(0.0, 1.0, 0.0)


@pytest.mark.parametrize("smallest", [0.0, -1.0, math.nan, math.inf])
def test_an_effect_of_interest_is_positive(smallest):
    with pytest.raises(ValueError, match="smallest effect of interest is a positive number"):
        over_data_sets(np.ones(3), smallest)
    with pytest.raises(ValueError, match="smallest effect of interest is a positive number"):
        over_seeds(paired_difference([1.0, 2.0], [0.0, 0.0]), smallest)


@pytest.mark.parametrize("z", [[], [math.nan, 1.0], [math.inf]])
def test_data_sets_have_finite_differences(z):
    with pytest.raises(ValueError, match="a difference of each data set is needed, all finite"):
        over_data_sets(np.array(z), D)

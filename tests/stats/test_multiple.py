"""Adjustment for many comparisons; the set of arms that may be the best."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.multiple import false_discovery, holm, not_beaten


def test_holm_by_its_definition():
    p = np.random.default_rng(0).uniform(0, 0.2, 9)
    ordered = np.sort(p)
    expected = {x: max(min(1.0, (len(p) - j) * ordered[j]) for j in range(i + 1)) for i, x in enumerate(ordered)}
    assert holm(p) == pytest.approx([expected[x] for x in p])


def test_holm_rejects_as_the_step_down_procedure():
    """Reject in order of p while p_(i) <= alpha / (m - i)."""
    for seed in range(50):
        p = np.random.default_rng(seed).beta(0.3, 3, 6)
        rejected = set()
        for rank, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (len(p) - rank):
                break
            rejected.add(index)
        assert {index for index, q in enumerate(holm(p)) if q <= 0.05} == rejected


def test_holm_leaves_out_what_is_nan():
    with_nan = holm([0.01, math.nan, 0.04])
    assert [with_nan[0], with_nan[2]] == holm([0.01, 0.04])
    assert math.isnan(with_nan[1])
    assert holm([]) == []


@pytest.mark.parametrize("n", [2, 3, 8])
def test_two_arms_are_compared_by_the_paired_t_test(n):
    random = np.random.default_rng(n)
    for _ in range(30):
        values = random.normal(size=(2, n)) + np.array([[0.0], [1.0]])
        p = stats.ttest_rel(values[1], values[0], alternative="greater").pvalue
        assert not_beaten(values).tolist() == [p >= 0.05, 1 - p >= 0.05]


def test_every_pair_is_tested_by_itself():
    """Unpooled: one arm that swings does not make the others look alike."""
    random = np.random.default_rng(0)
    values = random.normal(0.97, 0.002, (9, 8)) + np.array([0.0] * 8 + [-0.02])[:, None]
    values[3] = random.normal(0.6, 0.27, 8)
    for each in (values, values[:, :4]):
        expected = [
            all(stats.ttest_rel(each[j], each[i], alternative="greater").pvalue >= 0.05 / 8 for j in range(9) if j != i)
            for i in range(9)
        ]
        assert not_beaten(each).tolist() == expected
    assert not not_beaten(values)[8]


def test_the_level_is_that_of_the_call():
    values = np.array([[0.97, 0.98, 0.975, 0.972], [0.95, 0.965, 0.955, 0.945]])
    p = stats.ttest_rel(values[0], values[1], alternative="greater").pvalue
    assert [not_beaten(values, alpha)[1] for alpha in (p * 0.99, p * 1.01)] == [True, False]


def test_false_discovery_rates_agree_with_scipy():
    p = np.random.default_rng(1).beta(0.3, 3, 30)
    assert false_discovery(p) == pytest.approx(stats.false_discovery_control(p).tolist())
    with_nan = false_discovery([0.01, math.nan, 0.04])
    assert [with_nan[0], with_nan[2]] == false_discovery([0.01, 0.04])
    assert math.isnan(with_nan[1])
    assert false_discovery([]) == []


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (6, 3), (6, 10)])
def test_the_best_arm_is_rarely_missed(arms, seeds):
    random = np.random.default_rng(1)
    common = random.normal(size=(1_000, 1, seeds)) * 3
    tables = random.normal(size=(1_000, arms, seeds)) + common
    missed = np.mean([not not_beaten(values)[0] for values in tables])
    assert missed < 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(tables))


def test_a_noisy_best_arm_is_rarely_missed():
    random = np.random.default_rng(2)
    deviations = np.array([10.0] + [1.0] * 11)[:, None]
    missed = np.mean([not not_beaten(random.normal(size=(12, 3)) * deviations)[0] for _ in range(1_000)])
    assert missed < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)


def test_missing_seeds():
    nan = math.nan
    values = np.array([[1.0, 1.1, 0.9, nan], [-9.0, -8.8, nan, 0.1], [nan, nan, nan, 9.0], [nan] * 4])
    assert not_beaten(values).tolist() == [True, False, True, True]
    assert not_beaten(values[:1]).tolist() == [True]
    assert not_beaten(np.empty((0, 3))).tolist() == []
    assert not_beaten(values[:, :1]).tolist() == [True] * 4


def test_equal_leads_need_many_seeds():
    for n in (2, 4, 5, 10):
        lead = np.array([[0.75] * n, [0.5] * n])
        assert not_beaten(lead).tolist() == [True, 0.5**n >= 0.05]
        assert not_beaten(lead[[0, 0]]).all()

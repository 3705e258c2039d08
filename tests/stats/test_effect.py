"""Effects, power and the improvement that can be seen, against scipy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from paribus.stats.effect import minimum_detectable_effect, paired_power, probability_of_improvement, required_pairs


@pytest.mark.parametrize("n", [2, 5, 10, 30])
@pytest.mark.parametrize("d_z", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_power_is_that_of_the_noncentral_t_distribution(n, d_z, alpha):
    """P(|T| > t), given the sample's deviation S: T = (Z + d_z sqrt(n)) / S, integrated over S."""
    t, shift = stats.t.ppf(1 - alpha / 2, n - 1), d_z * math.sqrt(n)
    s = stats.chi(n - 1, scale=1 / math.sqrt(n - 1))

    def rejects(q):
        bound = t * s.ppf(q)
        return stats.norm.sf(bound - shift) + stats.norm.cdf(-bound - shift)

    expected, error = integrate.quad(rejects, 0, 1, epsabs=1e-9, limit=200)
    assert paired_power(d_z, n, alpha) == pytest.approx(expected, abs=max(error, 1e-6))
    assert paired_power(-d_z, n, alpha) == pytest.approx(paired_power(d_z, n, alpha), abs=1e-12)


def test_power_of_no_effect_is_the_level():
    assert paired_power(0.0, 7, 0.05) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 8, 0.05 / 999, 0.05 / 9999])
def test_power_is_a_number_and_rises_wherever_the_library_fails(alpha):
    """scipy's distribution has holes far in its tails (d_z = 2, n = 10, alpha = 0.05 / 999 is one)."""
    for n in (3, 5, 10, 100):
        values = [paired_power(d, n, alpha) for d in np.geomspace(0.1, 64, 40)]
        assert np.all(np.diff(values) > -1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_the_detectable_effect_is_found_as_often_as_asked(n):
    effect = minimum_detectable_effect(2.0, n, 0.8)
    assert paired_power(effect / 2.0, n) == pytest.approx(0.8, abs=1e-6)
    assert minimum_detectable_effect(0.0, n) == 0.0


def test_the_detectable_effect_by_simulation():
    effect = minimum_detectable_effect(1.0, 6, 0.8)
    samples = np.random.default_rng(0).normal(effect, 1.0, (8_000, 6))
    share = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue <= 0.05)
    assert share == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 8_000))


@pytest.mark.parametrize(("effect", "sd"), [(0.5, 0.5), (0.5, 1.0), (-1.0, 0.4), (0.1, 1.0)])
def test_required_pairs_are_just_enough(effect, sd):
    n = required_pairs(effect, sd, 0.8)
    assert paired_power(effect / sd, n) >= 0.8
    assert n == 2 or paired_power(effect / sd, n - 1) < 0.8
    assert required_pairs(effect, 0.0) == 2


def test_improvement_counts_wins_and_half_the_ties():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 2.0, 4.0, 3.0, 4.0]
    found = probability_of_improvement(a, b)
    assert (found.n, found.probability) == (5, (3 + 0.5) / 5)
    low = stats.binomtest(3, 5).proportion_ci(method="exact").low
    high = stats.binomtest(4, 5).proportion_ci(method="exact").high
    assert (found.low, found.high) == pytest.approx((low, high))
    assert probability_of_improvement([-math.inf], [0.0]).probability == 0.0
    assert math.isnan(probability_of_improvement([], []).probability)


def test_improvement_covers():
    """P(A > B) = 0.7 for normal differences of mean 0.5244 and deviation 1."""
    truth = 0.7
    d = np.random.default_rng(1).normal(stats.norm.ppf(truth), 1, (2_000, 9))
    found = [probability_of_improvement(row, np.zeros(9)) for row in d]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.95


def test_mistakes():
    for wrong, message in (
        (lambda: paired_power(1.0, 1), "at least 2 pairs"),
        (lambda: paired_power(1.0, 5, 5), "alpha"),
        (lambda: minimum_detectable_effect(math.nan, 5), "standard deviation"),
        (lambda: minimum_detectable_effect(1.0, 5, 0.01), "power lies between"),
        (lambda: required_pairs(0.0, 1.0), "not zero"),
        (lambda: required_pairs(1e-6, 1.0), "at most 1000000 pairs"),
        (lambda: probability_of_improvement([1.0], []), "1 and 0"),
        (lambda: probability_of_improvement([math.nan], [0.0]), "got nan"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()

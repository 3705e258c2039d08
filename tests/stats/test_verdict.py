"""The verdict rule by its definition, and claims over regimes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.paired import paired_difference
from paribus.stats.verdict import Bounds, decide, gain_bounds, over_regimes, verdict

D = 0.005


def judged(values, direction="greater", smallest=D):
    difference = paired_difference(values, np.zeros(len(values)))
    return verdict(difference, difference.p, smallest, direction)


def test_bounds_are_those_of_scipy():
    d = np.random.default_rng(0).normal(0.01, 0.01, 8)
    two = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    one = stats.ttest_1samp(d, 0, alternative="less").confidence_interval(0.95)
    found = judged(d)
    assert (found.low, found.high, found.upper) == pytest.approx((two.low, two.high, one.high))
    less = judged(d, "less")
    other = stats.ttest_1samp(-d, 0, alternative="less").confidence_interval(0.95)
    assert (less.gain, less.upper) == pytest.approx((-d.mean(), other.high))


def test_the_four_outcomes():
    noise = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / 1000
    assert judged(0.02 + noise).outcome == "SUPPORTED"
    assert judged(-0.02 + noise).outcome == "REVERSED"
    assert judged(0.001 + noise).outcome == "REFUTED"
    assert judged(0.004 + 10 * noise).outcome == "INCONCLUSIVE"
    assert judged(0.02 + noise, "less").outcome == "REVERSED"
    # significant, but certainly smaller than is of interest
    tiny = judged(0.002 + noise)
    assert (tiny.p_holm < 0.05, tiny.outcome) == (True, "REFUTED")


def test_the_rule_settles_every_case_in_its_order():
    values = (-2.0, -0.5, 0.5, 2.0)
    for significant, low, high, upper in itertools.product((True, False), values, values, values):
        found = decide(significant, Bounds(low, high, upper), 1.0)
        expected = (
            "SUPPORTED" if significant and upper >= 1
            else "REVERSED" if high < 0
            else "REFUTED" if upper < 1
            else "INCONCLUSIVE"
        )  # fmt: skip
        assert found == expected


def test_holm_can_take_support_away():
    difference = paired_difference(np.array([0.019, 0.021, 0.02, 0.022]), np.zeros(4))
    assert verdict(difference, difference.p, D).outcome == "SUPPORTED"
    assert verdict(difference, 0.2, D).outcome == "INCONCLUSIVE"


def test_equal_differences_are_a_proof_only_in_numbers():
    assert [judged([0.01] * n).outcome for n in (2, 4, 5, 6)] == ["INCONCLUSIVE"] * 3 + ["SUPPORTED"]
    assert judged([0.001] * 5).outcome == "REFUTED"
    bounds = gain_bounds(paired_difference([0.01] * 5, [0.0] * 5), "greater", 0.05)
    assert (bounds.low, bounds.high) == (-math.inf, math.inf)
    assert bounds.upper == pytest.approx(0.01)


def test_a_wider_interval_decides_less():
    d = np.array([0.001, 0.0035, -0.001, 0.002, 0.004])
    difference = paired_difference(d, np.zeros(5))
    assert verdict(difference, 1.0, D).outcome == "REFUTED"
    assert verdict(difference, 1.0, D, bounds_level=0.999).outcome == "INCONCLUSIVE"


def test_few_or_diverged_runs_are_inconclusive():
    assert judged([0.02]).outcome == "INCONCLUSIVE"
    assert judged([0.02, math.inf, 0.03]).outcome == "INCONCLUSIVE"


def test_regimes():
    assert over_regimes({"F": "SUPPORTED", "T": "SUPPORTED"}).outcome == "SUPPORTED"
    assert over_regimes({"F": "SUPPORTED", "T": "REFUTED"}).outcome == "CONDITIONAL"
    found = over_regimes({"F": "SUPPORTED", "T": "INCONCLUSIVE", "S": "REVERSED"})
    assert found.outcome == "CONDITIONAL"
    assert found.regimes == {"SUPPORTED": ("F",), "REVERSED": ("S",), "INCONCLUSIVE": ("T",)}
    assert over_regimes({"F": "SUPPORTED", "T": "INCONCLUSIVE"}).outcome == "INCONCLUSIVE"
    assert over_regimes({"F": "INCONCLUSIVE"}).outcome == "INCONCLUSIVE"


def test_mistakes():
    difference = paired_difference([1.0, 2.0], [0.0, 0.0])
    for wrong, message in (
        (lambda: verdict(difference, 0.1, 0.0), "positive, got 0.0"),
        (lambda: verdict(difference, 0.1, D, "more"), "greater or less, got 'more'"),
        (lambda: verdict(difference, 0.1, D, level=95), "level"),
        (lambda: over_regimes({}), "at least one regime"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()

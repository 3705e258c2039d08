"""Claims over regimes, and Welch's test against scipy."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.paired import paired_difference
from paribus.stats.regimes import InRegime, over_regimes, welch
from paribus.stats.verdict import Question, judge


def regime(mean, sd=0.1, n=10, collapses=False, seed=0):
    d = np.random.default_rng([seed, n]).normal(0, 1, n)
    d = mean + sd * (d - d.mean()) / d.std(ddof=1)
    difference = paired_difference(d, np.zeros(n))
    [found] = judge([Question([difference], smallest=1.0)])
    return InRegime(found.verdict, difference, collapses)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_welch_agrees_with_scipy(k):
    r = np.random.default_rng(k)
    groups = [r.normal(r.normal(), r.uniform(0.1, 3), r.integers(3, 20)) for _ in range(k)]
    means, sds, n = ([f(g) for g in groups] for f in (np.mean, lambda g: np.std(g, ddof=1), len))
    if k == 2:
        assert welch(means, sds, n) == pytest.approx(stats.ttest_ind(*groups, equal_var=False).pvalue, rel=1e-10)
    if "equal_var" in inspect.signature(stats.f_oneway).parameters:  # of scipy 1.16 and later
        expected = stats.f_oneway(*groups, equal_var=False).pvalue
        assert welch(means, sds, n) == pytest.approx(expected, rel=1e-10)


def test_welch_needs_deviations():
    assert math.isnan(welch([1.0, 2.0], [0.0, 1.0], [5, 5]))
    assert math.isnan(welch([1.0, 2.0], [1.0, math.nan], [5, 1]))
    assert math.isnan(welch([1.0], [1.0], [5]))


def test_what_all_regimes_say_together():
    assert over_regimes({"F": regime(3), "T": regime(4)}).outcome == "SUPPORTED"
    assert over_regimes({"F": regime(3), "T": regime(0.5)}).outcome == "POSITIVE"
    assert over_regimes({"F": regime(-0.5), "T": regime(0.5)}).outcome == "NEGLIGIBLE"
    assert over_regimes({"F": regime(-3), "T": regime(-0.5)}).outcome == "REVERSED"
    assert over_regimes({"F": regime(3), "T": regime(0, sd=5)}).outcome == "INCONCLUSIVE"
    assert over_regimes({"F": regime(0, sd=5)}).outcome == "INCONCLUSIVE"


def test_conditional_needs_verdicts_and_effects_that_differ():
    found = over_regimes({"F": regime(3), "T": regime(0, sd=5), "S": regime(-3)})
    assert found.outcome == "CONDITIONAL"
    assert found.regimes == {"SUPPORTED": ("F",), "REVERSED": ("S",), "INCONCLUSIVE": ("T",)}
    assert found.p < 0.001
    assert over_regimes({"F": regime(3), "T": regime(0, sd=0.2)}).outcome == "CONDITIONAL"


def test_verdicts_that_differ_by_chance_are_not_conditional():
    """Equal effects near a bound: NEGLIGIBLE in one and REVERSED in another."""
    small, large = regime(-0.80, 0.2, n=30), regime(-0.85, 0.5)
    assert (small.verdict.outcome, large.verdict.outcome) == ("NEGLIGIBLE", "REVERSED")
    found = over_regimes({"a": small, "b": large})
    assert found.p > 0.05
    assert found.outcome == "REVERSED"  # both intervals lie below zero


def test_clean_regimes_may_be_tested_without_those_that_collapsed():
    others = {"F": regime(3), "fashion": regime(-3), "T": regime(-3, collapses=True)}
    assert over_regimes(others).outcome == "INCONCLUSIVE"
    found = over_regimes(others, apart=True)
    assert (found.outcome, found.untested) == ("CONDITIONAL", ("T",))
    assert found.p == over_regimes({name: others[name] for name in ("F", "fashion")}).p
    alike = {"F": regime(3), "fashion": regime(3, seed=1), "T": regime(-3, collapses=True)}
    assert over_regimes(alike, apart=True).outcome == "INCONCLUSIVE"  # only the one that collapsed differs


def test_where_runs_collapse_nothing_is_conditional():
    found = over_regimes({"F": regime(3), "T": regime(-3, collapses=True)})
    assert (found.outcome, found.untested) == ("INCONCLUSIVE", ("T",))
    assert math.isnan(found.p)


def test_mistakes():
    with pytest.raises(ValueError, match="at least one regime"):
        over_regimes({})

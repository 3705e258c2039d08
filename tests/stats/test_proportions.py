"""Shares of runs against scipy, and what divergence does to a mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.intervals import mean_interval
from paribus.stats.proportions import at_chance, clopper_pearson, divergence


@pytest.mark.parametrize(("count", "n"), [(0, 1), (0, 10), (3, 10), (10, 10), (7, 50)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_clopper_pearson_agrees_with_scipy(count, n, level):
    found = clopper_pearson(count, n, level)
    expected = stats.binomtest(count, n).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-10)
    assert (found.count, found.n, found.share) == (count, n, count / n)


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5])
def test_clopper_pearson_covers_at_least_as_often_as_it_says(p):
    """Exactly, by summing over all outcomes."""
    for n in (5, 10, 30):
        found = [clopper_pearson(k, n) for k in range(n + 1)]
        covered = sum(stats.binom.pmf(k, n, p) for k, each in enumerate(found) if each.low <= p <= each.high)
        assert covered >= 0.95


def test_no_trials_say_nothing():
    found = clopper_pearson(0, 0)
    assert math.isnan(found.share)
    assert (found.low, found.high) == (0.0, 1.0)


def test_divergence_is_counted_and_scored():
    found = divergence([0.9, math.nan, 0.8, math.inf, 0.85], chance=0.1)
    assert found.rate == clopper_pearson(2, 5)
    assert found.without == mean_interval([0.9, 0.8, 0.85])
    assert found.at_chance == mean_interval([0.9, 0.1, 0.8, 0.1, 0.85])


def test_scores_keep_their_shape():
    scores = np.array([[0.5, math.nan], [-math.inf, 0.25]])
    assert at_chance(scores, 0.1).tolist() == [[0.5, 0.1], [0.1, 0.25]]


def test_mistakes():
    with pytest.raises(ValueError, match="between 0 and n = 3, got 4"):
        clopper_pearson(4, 3)
    with pytest.raises(ValueError, match="level"):
        clopper_pearson(1, 3, 95)
    with pytest.raises(ValueError, match=r"1 / classes"):
        at_chance([0.5], math.nan)

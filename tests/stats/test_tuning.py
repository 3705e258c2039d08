"""The choice of a grid point, best-of-k and sensitivity, each by its definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from paribus.stats.tuning import best_of_k, edges, select_best, sensitivity

NAN = math.nan


def test_the_best_mean_wins_and_a_diverged_run_is_worse_than_any():
    assert select_best([[0.8, 0.9], [0.9, 0.9]]).index == 1
    found = select_best([[0.1, 0.1], [NAN, 1.0]])
    assert (found.index, found.diverged, found.mean) == (0, 0, pytest.approx(0.1))
    worst = select_best([[NAN, NAN], [NAN, 0.1]])
    assert (worst.index, worst.diverged, worst.mean) == (1, 1, -math.inf)


def test_ties_go_to_the_first_and_are_named():
    found = select_best([[0.3, 0.3], [0.1 + 0.2, 0.3], [0.2, 0.2]])
    assert (found.index, found.tied) == (0, (0, 1))


def test_the_edges_of_a_grid():
    points = list(itertools.product([0.01, 0.1, 1.0], [0.0, 0.9], [5]))
    scores = [[float(k == 5)] for k in range(len(points))]
    found = select_best(scores, points)
    assert (points[found.index], found.edges, found.on_edge) == ((1.0, 0.9, 5), ("high", "high", None), True)
    assert edges([0.01, 0.1, 1.0], 1) == (None,)
    assert edges([0.01, 0.1, 1.0], 0) == ("low",)
    assert not select_best([[0.0], [1.0], [0.0]]).on_edge


@pytest.mark.parametrize("n", [1, 3, 6])
def test_best_of_k_by_enumeration(n):
    x = np.random.default_rng(n).normal(size=n)
    found = best_of_k(x)
    for k in range(1, n + 1):
        drawn = [max(draw) for draw in itertools.product(x, repeat=k)]
        assert found.expected[k - 1] == pytest.approx(np.mean(drawn))
        assert found.sd[k - 1] == pytest.approx(np.std(drawn), abs=1e-12)
        subsets = [max(each) for each in itertools.combinations(x, k)]
        assert found.unbiased[k - 1] == pytest.approx(np.mean(subsets))
    assert found.unbiased[-1] == pytest.approx(x.max())


def test_best_of_k_of_many_points_stays_finite():
    found = best_of_k(np.linspace(0, 1, 500))
    assert np.isfinite(found.unbiased).all()
    assert (np.diff(found.unbiased) > 0).all()


def test_sensitivity_is_the_mean_height_of_the_curve():
    rates, scores = [0.01, 0.1, 1.0, 0.001], [0.8, 0.9, 0.1, 0.5]
    found = sensitivity(rates, scores)
    grid = np.linspace(-3, 0, 300_001)
    curve = np.interp(grid, [-3, -2, -1, 0], [0.5, 0.8, 0.9, 0.1])
    assert found.area == pytest.approx(curve.mean(), abs=1e-5)
    assert found.decades == pytest.approx(3.0)
    assert found.regret == pytest.approx(0.9 - found.area)
    assert sensitivity([0.1, 1.0], [0.7, 0.7]).regret == pytest.approx(0.0)


def test_mistakes():
    for wrong, message in (
        (lambda: select_best([]), "One row for each point"),
        (lambda: select_best([[1.0]], [1, 2]), "One row for each point"),
        (lambda: best_of_k([]), "must be finite"),
        (lambda: best_of_k([NAN]), "at chance first"),
        (lambda: sensitivity([0.1], [1.0]), "two or more"),
        (lambda: sensitivity([0.1, -1.0], [1.0, 1.0]), "positive"),
        (lambda: sensitivity([0.1, 1.0], [1.0, NAN]), "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()

"""The choice of the best point of a grid."""

import math

from paribus.stats.choice import best_point, on_edge
from paribus.stats.grids import Axis, grid


def test_the_best_point_has_the_best_mean_and_a_diverged_run_is_worse_than_any():
    assert best_point([[0.8, 0.9], [0.9, 0.9], [math.nan, 1.0]], higher=True) == 1
    assert best_point([[0.8, 0.9], [0.9, 0.9]], higher=False) == 0
    assert best_point([[math.nan, math.nan], [math.nan, 0.1]], higher=True) == 1
    assert best_point([[0.5], [0.5]], higher=True) == 0


def test_an_optimum_on_the_edge_is_named_by_its_key():
    axes = {"lr": Axis.parse([0.1, 0.2, 0.3]), "wd": Axis.parse([0.0, 0.1])}
    points = grid(axes, dict.fromkeys(axes))
    assert on_edge(axes, points, {"lr": 0.3, "wd": 0.0}) == ["lr"]
    assert on_edge(axes, points, {"lr": 0.2, "wd": 0.0}) == []

"""Grids and their winners."""

import math

import pytest

from paribus.ablation.tuning import Axis, best_point, grid, on_edge


def test_grids_are_evenly_spaced_and_have_names_that_one_can_say():
    assert Axis.parse({"log": [0.01, 1.0, 5]}).points(None) == [0.01, 0.0316228, 0.1, 0.316228, 1.0]
    assert Axis.parse({"linear": [0.0, 1.0, 3]}).points(None) == [0.0, 0.5, 1.0]
    assert Axis.parse({"times": [0.1, 10.0, 3]}).points(0.02) == [0.002, 0.02, 0.2]
    assert Axis.parse({"log": [0.1, 0.1, 1]}).points(None) == [0.1]
    assert Axis.parse([3, 1, 2]).points(None) == [3, 1, 2]


def test_a_grid_is_every_combination_of_its_axes():
    axes = {"a": Axis.parse([1, 2]), "b": Axis.parse({"times": [1, 10, 2]})}
    assert grid(axes, {"a": None, "b": 5}) == [{"a": a, "b": b} for a in (1, 2) for b in (5, 50)]
    assert grid({}, {}) == [{}]
    with pytest.raises(ValueError, match="b multiplies the arm's own value"):
        grid(axes, {"a": None, "b": None})


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

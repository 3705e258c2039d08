"""Grids and the values of their axes."""

import pytest

from paribus.stats.grids import Axis, grid


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

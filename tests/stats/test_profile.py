"""Performance profiles of times to targets."""

import math

import pytest

from paribus.stats.profile import performance_ratios

INF = math.inf


def test_ratios_are_those_to_the_fastest_arm_of_each_task():
    found = performance_ratios({"a": [10.0, 30.0, INF, INF], "b": [20.0, 15.0, 5.0, INF]})
    assert found == {"a": [1.0, 2.0, INF, INF], "b": [2.0, 1.0, 1.0, INF]}


def test_what_can_not_be():
    with pytest.raises(ValueError, match="same tasks, got 1, 2"):
        performance_ratios({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="times are positive, got 0"):
        performance_ratios({"a": [0.0]})

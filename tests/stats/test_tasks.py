"""The interquartile mean by its definition, and the reach of its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from paribus.stats.tasks import interquartile_mean


def generator():
    return np.random.default_rng(0)


def test_a_quarter_is_left_out_at_each_end():
    scores = np.random.default_rng(1).normal(size=(4, 6))
    expected = stats.trim_mean(scores.ravel(), 0.25)
    found = interquartile_mean(scores, generator())
    assert (found.tasks, found.runs, found.mean) == (4, 24, pytest.approx(expected))
    assert found.low < found.mean < found.high
    assert interquartile_mean(scores, generator()) == found


def test_one_failed_task_moves_it_little():
    scores = [[0.8, 0.81, 0.82, 0.8]] * 5
    before, after = (interquartile_mean(s, generator()).mean for s in (scores, [[0.0] * 4, *scores[1:]]))
    assert abs(before - after) < 0.005


def test_tasks_may_have_different_numbers_of_runs():
    assert interquartile_mean([[1.0, 1.0], [1.0, 1.0, 1.0]], generator()).mean == 1.0


def test_the_interval_covers_with_enough_runs():
    """Of five tasks with ten runs each; the truth from a million runs of each."""
    means = np.arange(5.0)[:, None]
    truth = interquartile_mean(means + np.random.default_rng(9).normal(size=(5, 20_000)), generator()).mean
    r = np.random.default_rng(2)
    found = [interquartile_mean(means + r.normal(size=(5, 10)), r) for _ in range(60)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.86


@pytest.mark.parametrize("scores", [[], [[]], [[1.0], []], [[float("nan")]]])
def test_mistakes(scores):
    with pytest.raises(ValueError, match="every task has finite scores"):
        interquartile_mean(scores, generator())

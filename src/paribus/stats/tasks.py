"""One number for many tasks: data sets, models or regimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.stats.intervals import check_probability

RESAMPLES = 2_000


@dataclass(frozen=True)
class InterquartileMean:
    """The mean of the middle half of all runs of all tasks, and an interval [low, high]."""

    tasks: int
    runs: int
    mean: float
    low: float
    high: float


def interquartile_mean(
    scores: Sequence[Sequence[float]], generator: np.random.Generator, level: float = 0.95
) -> InterquartileMean:
    """A quarter of the runs is left out at each end, and the mean of the others is taken.

    It is less moved by one easy or one failed task than the mean, and needs fewer runs than the median. The interval is
    the stratified percentile bootstrap over the runs of each task: it says what other seeds would give on these tasks,
    not what other tasks would, and is too short for less than about ten runs in all.

    scores: one list of runs for each task, on one scale (normalise them first); higher or lower may be better.
    generator: draws the resamples.

    Raises ValueError unless there is a task, every task has a run, all are finite, and 0 < level < 1.

    Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    check_probability("level", level, 0.95)
    tasks = [np.asarray(runs, dtype=float) for runs in scores]
    if not tasks or any(runs.size == 0 or not np.isfinite(runs).all() for runs in tasks):
        raise ValueError(f"every task has finite scores, got {scores}. Score diverged runs at chance, drop empty tasks")
    drawn = np.concatenate(
        [runs[generator.integers(0, runs.size, (RESAMPLES, runs.size))] for runs in tasks], axis=1
    )  # (RESAMPLES, runs)
    low, high = np.quantile(_middle(drawn), [(1 - level) / 2, (1 + level) / 2])
    together = np.concatenate(tasks)
    return InterquartileMean(len(tasks), together.size, float(_middle(together)), float(low), float(high))


def _middle(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis; scipy.stats.trim_mean, without half a second of imports."""
    cut = values.shape[-1] // 4
    return np.asarray(np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1))

"""Fewer points of a curve, with its extremes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np


def kept_rows(columns: Sequence[Sequence[float] | np.ndarray], most: int) -> np.ndarray:
    """At most `most` rows, ascending: the first, the last, and from each of equal stretches the rows in which one of
    the columns is lowest or highest. A spike in any column so stays as high as it was; nothing is averaged.

    All rows where there are no more than `most`. Raises ValueError unless most >= 2 + 2 * columns.
    """
    least = 2 + 2 * len(columns)
    if most < least:
        raise ValueError(f"{len(columns)} columns need at least {least} rows for their extremes, got {most}")
    length = max((len(column) for column in columns), default=0)
    if length <= most:
        return np.arange(length)
    # Where columns have their extremes in the same rows, as smooth curves do, there is room for more stretches.
    rows = _extremes(columns, length, (most - 2) // 2)
    if len(rows) > most:
        rows = _extremes(columns, length, (most - 2) // (2 * len(columns)))
    return np.array(sorted(rows))


def _extremes(columns: Sequence[Sequence[float] | np.ndarray], length: int, stretches: int) -> set[int]:
    rows = {0, length - 1}
    for part in np.array_split(np.arange(1, length - 1), stretches):
        for column in columns:
            values = np.asarray(column, dtype=float)[part]
            if np.isfinite(values).any():
                rows |= {int(part[np.nanargmin(values)]), int(part[np.nanargmax(values)])}
    return rows


def short(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """As JSON carries them: four digits, which is finer than a pixel; None for what is not finite."""
    listed = np.asarray(values, dtype=float).tolist()
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in listed]


def points_each(budget: int, series: int, columns: int, least: int, most: int = 400) -> int:
    """Points that each of `series` may have so that all take at most about `budget` bytes of JSON."""
    return max(least, min(most, int(budget / max(1, series * columns * 6.5))))


def history_columns(
    history: Mapping[str, Sequence[float]], metrics: Sequence[str], most: int
) -> dict[str, list[float | None]]:
    """epoch, step, seconds and the metrics of one run, thinned to `most` rows by the first of training and the last of
    validation."""
    kinds = [next((m for m in order if m.startswith(split)), "") for split, order in
             (("train/", metrics), ("val/", metrics[::-1]))]  # fmt: skip
    guides = [history[m] for m in (*kinds, *metrics) if m in history][:2]
    rows = kept_rows(guides, most) if guides else np.arange(0)
    names = [name for name in ("epoch", "step", "seconds", *metrics) if name in history]
    return {name: short(np.asarray(history[name], dtype=float)[rows]) for name in names}

"""The data of a figure of descents on a surface: arrays, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Path:
    """One descent: points (t + 1, d) and losses (t + 1,); arrived, settled: numbers of steps, None for never."""

    label: str
    points: np.ndarray
    losses: np.ndarray
    diverged: bool
    arrived: int | None
    settled: int | None


@dataclass(frozen=True)
class Drawn:
    """A surface for a figure: x (nx,) and values (nx,) of one coordinate, or x, y (ny,) and values (ny, nx) of two.

    values is None where the surface has more coordinates than a picture. lowest: its lowest value, None for none.
    """

    name: str
    x: np.ndarray
    y: np.ndarray | None
    values: np.ndarray | None
    lowest: float | None

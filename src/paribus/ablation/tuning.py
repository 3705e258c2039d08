"""The grid that every arm is tuned over, and the choice of its best point."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.stats.tuning import edges, select_best

Point = Mapping[str, Any]
MOST = 10_000  # values of an axis


@dataclass(frozen=True)
class Axis:
    """The values of one key in a tuning grid.

    kind list: the values themselves. log, linear: `values` = (lowest, highest, how many), evenly spaced in the
    logarithm or in the value. times: the same as log, multiplied by the arm's own value of the key, so that optimizers
    with rates of different orders get equally wide grids.
    """

    kind: str
    values: tuple[Any, ...]

    @staticmethod
    def parse(spec: Any) -> Axis:
        """[0.1, 0.3] or {log: [0.01, 1.0, 7]}. Raises ValueError with the form that is wanted."""
        if isinstance(spec, list):
            numbers = [value for value in spec if isinstance(value, float)]
            finite = all(map(is_number, numbers))
            if not spec or len(set(map(str, spec))) < len(spec) or not finite:
                raise ValueError(f"must be a list of different values, got {spec!r}")
            if any(isinstance(value, Mapping) for value in spec):
                raise ValueError(f"must be a list of plain values, got {spec!r}")
            return Axis("list", tuple(spec))
        if not isinstance(spec, Mapping) or len(spec) != 1 or next(iter(spec)) not in ("log", "linear", "times"):
            raise ValueError(
                f"must be a list of values or one of log, linear, times: [lowest, highest, count], got {spec!r}"
            )
        [(kind, given)] = spec.items()
        right = isinstance(given, list) and len(given) == 3 and all(is_number(value) for value in given)
        if not right or not isinstance(given[2], int) or not 1 <= given[2] <= MOST:
            raise ValueError(f"must be {kind}: [lowest, highest, count], with a count of 1 to {MOST}, got {given!r}")
        low, high, count = given
        if low > high or (count > 1 and low == high):
            raise ValueError(f"must have its lowest value below its highest, got {given!r}")
        if kind != "linear" and low <= 0:
            raise ValueError(f"must be positive on a logarithmic grid, got {given!r}")
        return Axis(kind, (low, high, count))

    @property
    def size(self) -> int:
        return len(self.values) if self.kind == "list" else self.values[2]

    def points(self, own: Any) -> list[Any]:
        """The values, in order; `own` is the arm's value without tuning. Raises ValueError for `times` of no number."""
        if self.kind == "list":
            return list(self.values)
        low, high, count = self.values
        steps = [step / max(count - 1, 1) for step in range(count)]
        if self.kind == "linear":
            return [_rounded(low + (high - low) * step) for step in steps]
        grid = [low * (high / low) ** step for step in steps]
        if self.kind == "log":
            return [_rounded(value) for value in grid]
        if not is_number(own) or own == 0:
            raise ValueError(f"multiplies the arm's own value, which must be a number other than 0, got {own!r}")
        return [_rounded(own * value) for value in grid]


def grid(axes: Mapping[str, Axis], own: Mapping[str, Any]) -> list[Point]:
    """Every point; just {} where nothing is tuned. Raises ValueError that begins with the key."""
    values = []
    for key, axis in axes.items():
        try:
            values.append(axis.points(own[key]))
        except ValueError as error:
            raise ValueError(f"{key} {error}") from None
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*values)]


def best_point(scores: Sequence[Sequence[float]], higher: bool) -> int:
    """Index of the point that `stats.tuning.select_best` takes: of the fewest diverged runs, then of the best mean.

    scores: one list per point; a run that diverged scores nan.
    """
    sign = 1.0 if higher else -1.0
    return select_best([[sign * value for value in values] for values in scores]).index


def on_edge(axes: Iterable[str], points: Sequence[Point], best: Point) -> list[str]:
    """The keys whose best value is the first or the last of its axis: the grid may be too narrow there.

    An axis of two values has nothing but ends, and says nothing.
    """
    found = []
    for key in axes:
        values = list(dict.fromkeys(point[key] for point in points))
        if len(values) > 2 and edges([float(k) for k in range(len(values))], values.index(best[key]))[0]:
            found.append(key)
    return found


def is_number(value: Any) -> bool:
    """Whether it is a finite number; a whole one below 2^63, as everywhere in a configuration."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max if isinstance(value, float) else abs(value) < 2**63


def _rounded(value: float) -> float:
    """To six digits, so that a grid has values that one can name: 0.0316228 and not 0.03162277660168379."""
    return float(f"{value:.6g}")

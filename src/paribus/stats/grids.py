"""Grids of hyper-parameters: the values of each key, and every combination of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paribus.base.numbers import is_number

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
                f"must be a list of values or one of log, linear, times: [lowest, highest, count], got {spec!r}. "
                "Ranges stand in tune: {trials: NUMBER, space: {KEY: RANGE}}"
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


def grid(axes: Mapping[str, Axis], own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every point; just {} where nothing is tuned. Raises ValueError that begins with the key."""
    values = []
    for key, axis in axes.items():
        try:
            values.append(axis.points(own[key]))
        except ValueError as error:
            raise ValueError(f"{key} {error}") from None
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*values)]


def _rounded(value: float) -> float:
    """To six digits, so that a grid has values that one can name: 0.0316228 and not 0.03162277660168379."""
    return float(f"{value:.6g}")

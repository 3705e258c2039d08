"""The choice of the best point of what an arm is tuned over, and whether it lies on an edge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paribus.stats.spaces import Range
from paribus.stats.tuning import edges, select_best

Point = Mapping[str, Any]


def best_point(scores: Sequence[Sequence[float]], higher: bool) -> int:
    """Index of the point that `stats.tuning.select_best` takes: of the fewest diverged runs, then of the best mean.

    scores: one list per point; a run that diverged scores nan.
    """
    sign = 1.0 if higher else -1.0
    return select_best([[sign * value for value in values] for values in scores]).index


def best_points(scores: Sequence[Sequence[float]], higher: bool, number: int) -> list[int]:
    """The indices of so many points, each the best of those that are left; in the order of the points."""
    left, found = list(range(len(scores))), list[int]()
    while left and len(found) < number:
        found.append(left.pop(best_point([scores[k] for k in left], higher)))
    return sorted(found)


def on_edge(
    axes: Iterable[str], points: Sequence[Point], best: Point, space: Mapping[str, Range] | None = None
) -> list[str]:
    """The keys whose best value is the first or the last of its axis, or at the end of its range: the grid or the space
    may be too narrow there.

    An axis of two values has nothing but ends, and says nothing. space: that the points were drawn from, if any.
    """
    if space:
        return [key for key, each in space.items() if each.on_edge(best[key])]
    found = []
    for key in axes:
        values = list(dict.fromkeys(point[key] for point in points))
        if len(values) > 2 and edges([float(k) for k in range(len(values))], values.index(best[key]))[0]:
            found.append(key)
    return found

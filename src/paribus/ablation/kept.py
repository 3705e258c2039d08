"""The records of a plan's arms; of tuned arms at every point of the grid that tuning can't tell from the best."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from paribus.ablation.cells import Cell, Plan, Read
from paribus.stats.tuned import cross_fitted, near_ties
from paribus.store.record import Record
from paribus.store.scores import parts_of, score, waits

Row = Sequence[Record | None]  # in the order of the seeds


class Scored:
    """The runs of a plan as comparisons see them, see `stats.tuned`. Each record is read once."""

    def __init__(self, plan: Plan, read: Read):
        self.plan = plan
        self.read = functools.cache(read)
        self.row = functools.cache(self._row)
        self.kept = functools.cache(self._kept)
        self.at = functools.cache(self._at)

    def _row(self, arm: str, point: int | None = None) -> Row:
        """The reporting runs of an arm at a point of its grid, the best one if none is named."""
        cells: Sequence[Cell | None] = self.plan.arms[arm]
        if point is not None and arm in self.plan.tuned and point != self.plan.tuned[arm].index:
            cells = self.plan.kept.get(arm, {}).get(point, [])
        return [None if cell is None else self.read(cell.id) for cell in cells]

    def trial(self, arm: str, point: int) -> Row:
        """The tuning runs of an arm at a point of its grid; none where nothing is tuned."""
        tuned = self.plan.tuned.get(arm)
        return [self.read(id) for id in tuned.trials[point][1]] if tuned is not None and tuned.trials else []

    def selected(self, arm: str, point: int, n: int) -> list[list[float]]:
        """What the point scores in the metric that is selected on: in tuning, and with the first n reporting seeds."""
        assert self.plan.ablation is not None, "only an ablation tunes"
        metric = self.plan.ablation.select_on
        sign, rows = 1.0 if metric.metric.higher else -1.0, (self.trial(arm, point), self.row(arm, point)[:n])
        return [[sign * score(record, metric) for record in row] for row in rows]

    def _kept(self, arm: str, n: int) -> tuple[int, ...]:
        """The points that the comparison of n seeds keeps, the best first. At each look the earlier ones drop some."""
        tuned, ablation = self.plan.tuned.get(arm), self.plan.ablation
        if tuned is None or ablation is None or ablation.seeds.tuning != "near":
            return (0 if tuned is None else tuned.index,)
        seen = max((size for size in ablation.seeds.looks if size < n), default=0)
        points = self.kept(arm, seen) if seen else tuple(range(len(tuned.trials)))
        if seen and self.waiting(arm, seen):
            return points
        scores = np.array([np.concatenate(self.selected(arm, point, seen)) for point in points])
        near = near_ties(scores, points.index(tuned.index))
        return (tuned.index, *(p for p, keep in zip(points, near, strict=True) if keep and p != tuned.index))

    def waiting(self, arm: str, n: int) -> int:
        """How many runs the kept points of an arm still lack, beside its best one, at the first look that lacks any."""
        looks = self.plan.ablation.seeds.looks if self.plan.ablation else ()
        found = (
            sum(m - sum(not waits(r) for r in self.row(arm, point)[:m]) for point in self.kept(arm, m)[1:])
            for m in (*(size for size in looks if size < n), n)
        )
        return next(filter(None, found), 0)

    def ratio(self, arms: Iterable[str]) -> float:
        """Of test samples to the others, where each seed draws them anew."""
        found = [parts_of(record) for arm in arms for record in self.row(arm) if record is not None]
        return max((test / (train + val) for train, val, test in filter(None, found)), default=0.0)

    def chosen(self, arm: str, n: int) -> list[int]:
        """The kept points at which some of the first n seeds are scored."""
        scored, rows = self.at(arm, n)
        pairs = zip(self.kept(arm, n), rows, strict=False)
        return [point for point, row in pairs if any(own is run for own, run in zip(scored, row, strict=True))]

    def _at(self, arm: str, n: int) -> tuple[Row, list[Row]]:
        """The first n runs of an arm, each at the point that the other seeds choose, and those at every kept point.

        While a kept point lacks runs, both are those at the best point: the luck of tuning is then in no interval.
        """
        points = self.kept(arm, n)
        rows = [self.row(arm, point)[:n] for point in points]
        if len(points) == 1 or self.waiting(arm, n):
            return rows[0], rows[:1]
        scores = [self.selected(arm, point, n) for point in points]
        choice = cross_fitted(np.array([tuning for tuning, _ in scores]), np.array([own for _, own in scores]))
        return [rows[point][seed] for seed, point in enumerate(choice)], rows

"""Cells of an ablation or a sweep, each with the id and the resolved configuration of its run, and plans of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from paribus.ablation.designs import Excluded
from paribus.ablation.file import Ablation
from paribus.config.composed import Composed
from paribus.config.run import Run
from paribus.stats.choice import Point
from paribus.stats.spaces import Range
from paribus.store.record import Record
from paribus.store.registration import Entry, Registration

Read = Callable[[str], Record | None]  # the record of a run


_NOTHING = Composed({}, {})


@dataclass(frozen=True)
class Cell:
    """An arm with one seed, at one point of its tuning grid: a run.

    overrides: the command line that trains it. composed: what this command line resolves to; nothing of a cell that
    stands in for a record.
    """

    arm: str
    seed: int
    purpose: Literal["tune", "report"]
    overrides: tuple[str, ...]
    id: str
    composed: Composed = _NOTHING

    @property
    def run(self) -> Run:
        return self.composed.run

    @property
    def choices(self) -> Mapping[str, Any]:
        """The option chosen of each config group."""
        return self.composed.choices


@dataclass(frozen=True)
class Tuned:
    """The winner of an arm's tuning: point, mean score, and the keys in which it lies on the edge of the grid or space.

    trials: every point with the ids of its runs, in the order of the tuning seeds. index: of the winner. space: that
    the points were drawn from; empty for a grid.
    """

    point: Point
    score: float
    edges: tuple[str, ...]
    trials: tuple[tuple[Point, tuple[str, ...]], ...] = ()
    index: int = 0
    space: Mapping[str, Range] = field(default_factory=dict)


@dataclass
class Plan:
    """The cells of an ablation (in one regime) or of a sweep, as far as they are known.

    arms: the rows of the table; None for the reporting runs of an arm whose tuning is not finished.
    levels: of each arm, by factor.
    tuning: the runs that tuning and the choice of a path need.
    kept: of a tuned arm, the reporting runs at the other points that tuning can't tell from the winner, by their place
        in the trials.
    duplicates: cells that a sweep names twice.
    excluded, invalid: arms that are not trained and why; invalid ones are mistakes.
    complete: no cell depends on a result that is not there.
    unmeasured: finished tuning runs without the metric that is selected on, which their weights may still give.
    ablation: what is planned; None for a plain sweep.
    registration: of the ablation's name. entry: what its file says now, without time. registered: what tables say of
        both, in sentences.
    """

    name: str
    metric: str = "test/acc"  # a Key, where something declares it
    arms: dict[str, list[Cell | None]] = field(default_factory=dict)
    levels: dict[str, dict[str, str]] = field(default_factory=dict)
    tuning: list[Cell] = field(default_factory=list)
    kept: dict[str, dict[int, list[Cell]]] = field(default_factory=dict)
    duplicates: list[Cell] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    invalid: list[Excluded] = field(default_factory=list)
    tuned: dict[str, Tuned] = field(default_factory=dict)
    complete: bool = True
    unmeasured: list[str] = field(default_factory=list)
    ablation: Ablation | None = None
    registration: Registration | None = None
    entry: Entry | None = None
    registered: tuple[str, ...] = ()

    @property
    def cells(self) -> list[Cell]:
        """Each run once, in the order of training: all arms with the first seed, then with the next."""
        report = [cell for cells in self.arms.values() for cell in cells if cell is not None]
        report += [cell for points in self.kept.values() for cells in points.values() for cell in cells]
        ordered = [*sorted(self.tuning, key=lambda cell: cell.seed), *sorted(report, key=lambda cell: cell.seed)]
        return list({cell.id: cell for cell in reversed(ordered)}.values())[::-1]

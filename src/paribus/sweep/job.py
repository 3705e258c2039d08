"""One job of a sweep, as the launcher sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paribus.config.composed import Composed
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.slots import Place, Slots


@dataclass
class Job:
    """One command line on its way.

    runs: that it trains, of which `ended` have a result by now. failures: how often it failed, by type.
    """

    number: int
    overrides: tuple[str, ...]
    composed: Composed
    runs: Sequence[str] = ()
    ended: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    alone: bool = False
    slots: Slots | None = None
    place: Place | None = None
    started: float = 0.0
    out_of_time: float | None = None  # since when it is being stopped for that
    not_before: float = 0.0
    says: str = ""  # its last line of progress

    def __post_init__(self) -> None:
        self.run = self.composed.run
        self.id = self.run.id
        self.store = Store(Path(self.run.paths.outputs))
        self.runs = self.runs or (self.id,)

    @property
    def kind(self) -> str:
        """What it has in common with runs that differ in seeds and labels only."""
        return self.run.setting

    @property
    def name(self) -> str:
        return f"{self.run.arm or 'run ' + self.id} seed {self.run.seed}"

    @property
    def is_stack(self) -> bool:
        """Whether it trains several runs at once, which it finds in a file: their records are not that of `id`."""
        return self.run.members is not None

    @property
    def is_locked(self) -> bool:
        """Whether another process trains this run now."""
        return not self.is_stack and self.store.is_locked(self.id)

    def look(self) -> None:
        """Count the runs of a stack that have a result by now."""
        if self.is_stack:
            self.ended = sum(record is not None and record.has_result for record in map(self.store.read, self.runs))

    def finished(self) -> Record | None:
        """The record of its run, where that is done or diverged: there is nothing to train."""
        return None if self.is_stack else self.store.finished(self.id)

"""The time that the missing runs will take, from the records of runs like them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from paribus.ablation.cells import Cell
from paribus.config.chosen import chosen
from paribus.store.record import Record

# What changes the time of an update little: two runs that differ only in this take about as long.
_CHEAP = ("loss", "scheduler", "optimizer", "augmentation", "decay", "lr_scaling", "clip", "evaluation")
_FREE = ("tags", "seed", "seeds", "ablation", "experiment", "hparams_search", "debug", "local", "budget", "paths")


@dataclass(frozen=True)
class Estimate:
    """seconds: of all runs for which there is a record like them, one after the other.

    unknown: one cell of each kind for which there is none, and how many runs it stands for.
    """

    seconds: float
    known: int
    unknown: Sequence[tuple[Cell, int]]

    def seconds_on(self, slots: int) -> float | None:
        """With so many runs at a time; None where no run is known."""
        return self.seconds / max(1, slots) if self.known or not self.unknown else None


class Costs:
    """Seconds that runs took, by what they cost alike: first the same options, else the same network and batches."""

    def __init__(self, records: Iterable[Record]):
        self._exact: dict[str, list[float]] = {}
        self._near: dict[str, list[float]] = {}
        for record in records:
            seconds = record.timing.get("total_seconds")
            if record.status == "done" and seconds is not None and "budget" in record.comparable:
                self.add(record.choices, str(record.comparable["budget"]), seconds)

    def add(self, choices: Mapping[str, Any], length: str, seconds: float) -> None:
        self._exact.setdefault(_key(choices, length, exact=True), []).append(seconds)
        self._near.setdefault(_key(choices, length, exact=False), []).append(seconds)

    def of(self, cell: Cell) -> float | None:
        """Median seconds of the runs that are most like the cell."""
        choices, length = chosen(cell.run, cell.choices, cell.overrides), str(cell.run.length)
        for exact, known in ((True, self._exact), (False, self._near)):
            if found := known.get(_key(choices, length, exact=exact)):
                return median(found)
        return None

    def estimate(self, cells: Iterable[Cell]) -> Estimate:
        seconds, known = 0.0, 0
        unknown: dict[str, tuple[Cell, int]] = {}
        for cell in cells:
            if (each := self.of(cell)) is not None:
                seconds, known = seconds + each, known + 1
                continue
            key = _key(chosen(cell.run, cell.choices, cell.overrides), str(cell.run.length), exact=False)
            unknown[key] = (cell, unknown.get(key, (cell, 0))[1] + 1)
        return Estimate(seconds, known, list(unknown.values()))


def _key(choices: Mapping[str, Any], length: str, *, exact: bool) -> str:
    kept = {}
    for name, value in choices.items():
        group = name.split(".")[0]
        if group in _FREE or (not exact and group in _CHEAP):
            continue
        if group in _CHEAP and "." in name and isinstance(value, int | float):
            continue  # a learning rate and the like
        kept[name] = value
    return f"{length} {sorted(kept.items(), key=str)}"

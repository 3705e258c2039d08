"""The status of an ablation: the state of each run, what runs now, what failed and why, and the time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from paribus.ablation.cells import Cell, Plan, Read
from paribus.ablation.changes import changed_runs
from paribus.ablation.inputs import Inputs
from paribus.base.durations import seconds_since
from paribus.store.history import HistoryError
from paribus.store.record import Record
from paribus.store.store import Store

STATES = ("done", "diverged", "changed", "running", "interrupted", "pruned", "failed", "missing")


@dataclass(frozen=True)
class Running:
    """A run that some process trains now; where it stands is read from its history, which is some seconds old.

    seconds: since this process began with it. fraction: of its budget, where that is counted in epochs or updates.
    """

    id: str
    arm: str
    seed: int
    seconds: float
    epoch: float | None = None
    step: int | None = None
    fraction: float | None = None


@dataclass(frozen=True)
class Failure:
    """A run that failed: type and message of its record, and its folder."""

    id: str
    arm: str
    seed: int
    type: str
    message: str
    folder: str


@dataclass
class Progress:
    """How many runs are in each state.

    arms: by arm and purpose (tune, report). total: each run once, however many arms share it.
    waiting: reporting runs of an arm whose tuning is not finished.
    seconds_left: None where no run has finished yet, so that nobody knows.
    """

    name: str
    arms: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    seconds_left: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def progress(plan: Plan, store: Store, inputs: Inputs | None = None, read: Read | None = None) -> Progress:
    """Read the state of every run of a plan.

    inputs: of now, where several plans share them. read: of a record, where the caller remembers them.
    """
    read = read or store.read
    found = Progress(plan.name, waiting={arm: cells.count(None) for arm, cells in plan.arms.items() if None in cells})
    records = {cell.id: read(cell.id) for cell in plan.cells}
    states = {id: store.state(record) if record else "missing" for id, record in records.items()}
    changed = changed_runs([plan], records.get, inputs or Inputs(store.root))
    states |= {each.id: "changed" for each in changed if each.on_change != "reuse"}
    groups = [(cell.arm, "tune", cell.id) for cell in plan.tuning]
    groups += [(arm, "report", cell.id) for arm, cells in plan.arms.items() for cell in cells if cell is not None]
    groups += [(cell.arm, "kept", cell.id) for points in plan.kept.values() for row in points.values() for cell in row]
    for arm, purpose, id in dict.fromkeys(groups):
        counts = found.arms.setdefault(arm, {}).setdefault(purpose, {})
        counts[states[id]] = counts.get(states[id], 0) + 1
    for cell in plan.cells:
        state, record = states[cell.id], records[cell.id]
        found.total[state] = found.total.get(state, 0) + 1
        if record is not None and state == "running":
            found.running.append(running(cell, record, store))
        elif record is not None and state == "failed":
            failure = record.failure or {}
            folder = str(store.run_dir(cell.id))
            kind, message = failure.get("type", "unknown"), failure.get("message", "its record does not say why")
            found.failures.append(Failure(cell.id, cell.arm, cell.seed, kind, message, folder))
    left = sum(found.total.get(state, 0) for state in ("missing", "interrupted", "pruned", "failed", "changed"))
    found.seconds_left = seconds_left(
        [record for record in records.values() if record and record.has_result],
        found.running,
        left + sum(found.waiting.values()),
    )
    return found


def running(cell: Cell, record: Record, store: Store) -> Running:
    try:
        history = store.history(cell.id)
    except HistoryError:
        history = {}
    epoch = history["epoch"][-1] if history.get("epoch") else None
    step = int(history["step"][-1]) if history.get("step") else None
    length = cell.run.length
    reached = {"epochs": epoch, "updates": step}.get(length.unit)
    fraction = None if reached is None else reached / length.amount
    seconds = seconds_since(record.created) or 0.0
    return Running(cell.id, cell.arm, cell.seed, seconds, epoch, step, fraction)


def seconds_left(finished: Sequence[Record], now: Sequence[Running], to_train: int) -> float | None:
    """(runs to train x mean time of a finished run + what the running ones still need) / runs at a time."""
    times = [record.timing["total_seconds"] for record in finished if "total_seconds" in record.timing]
    if not now and not to_train:
        return 0.0
    if not times:
        return None
    mean = fmean(times)
    rest = sum(max(mean - run.seconds, 0.0) if run.fraction is None else mean * (1.0 - run.fraction) for run in now)
    return (to_train * mean + rest) / max(len(now), 1)

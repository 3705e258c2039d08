"""Restarts: the checkpoint that a run goes on from, and the members of a job that go on together.

The sums of a stack round as its rows are, so a stack that was killed goes on as the rows that it had: rows whose runs
are not there any more stay empty places. A kill may strike while the members' checkpoints are written; then some have
the new one and others do not. The latest point that all of them have is where they go on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paribus.base import archive
from paribus.store.history import HistoryError, read_history

log = logging.getLogger("paribus")
LAST = "last.ckpt"
NEXT = "next.ckpt"  # of a member of a stack, until those of all members are written


@dataclass(frozen=True)
class Point:
    """Where a stack stands: after so many updates, with these rows; without rows, a run that was alone."""

    step: int
    epoch: int = 0
    update: int = 0
    rows: tuple[str, ...] = ()
    compile: bool = False


START = Point(0)


@dataclass
class Restart:
    """Runs that go on together. rows: of their stack, in order; empty where they make a new one."""

    ids: list[str]
    rows: tuple[str, ...]
    compile: bool | None = None  # None: as is decided now
    point: Point = field(default=START)


def restarts(folders: Mapping[str, Path], parts: Sequence[Sequence[str]]) -> list[Restart]:
    """How the runs go on, those farthest back first.

    folders: run -> its folder. parts: the runs that start together where they have not begun.

    What a run does not go on from is removed: a next.ckpt that not all members of its stack have.
    """
    points = {id: points_of(folder) for id, folder in folders.items()}
    found = _whole(points)
    placed = {id for each in found for id in each.ids}
    for part in parts:
        fresh = [id for id in part if id in points and id not in placed and START in points[id]]
        if fresh:
            found.append(Restart(fresh, ()))
            placed.update(fresh)
    found += _rest({id: own for id, own in points.items() if id not in placed})
    for each in found:
        for id in each.ids:
            settle(folders[id], each.point)
    return sorted(found, key=lambda each: each.point.step)


def points_of(folder: Path) -> dict[Point, str]:
    """Where a run can go on -> the file that it goes on from; "" for the start."""
    last, new = state_of(folder, LAST), state_of(folder, NEXT)
    found = {_point(last): LAST} if last is not None else {START: ""}
    if new is not None:
        found.setdefault(_point(new), NEXT)
    return found


def settle(folder: Path, point: Point) -> None:
    """Make `point` what the run goes on from."""
    path = folder / "checkpoints" / NEXT
    if not path.exists():
        return
    if points_of(folder).get(point) == NEXT:
        path.replace(path.with_name(LAST))
    else:
        path.unlink()


def usable_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that a run alone goes on from; None where it starts anew."""
    return folder / "checkpoints" / LAST if state_of(folder, LAST) is not None else None


def state_of(folder: Path, name: str) -> dict[str, Any] | None:
    """What a checkpoint says of its run's training. One that is damaged, or has lost its history, is put aside."""
    path, history = folder / "checkpoints" / name, folder / "history.csv"
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = archive.read(path)["paribus"]
        cursor = state["cursor"]
    except Exception as error:  # zip, pickle, key and end-of-file errors: all mean that the file is damaged
        put_aside(path, f"can't be read ({error})")
        return None
    try:
        rows = sum(step <= cursor["step"] for step in read_history(history).get("step", []))
        reason = f"has {rows} of {cursor['epoch']} epochs" if rows < cursor["epoch"] else None
    except HistoryError as error:
        reason = f"can't be used ({error})"
    if reason is not None:
        if history.exists():
            put_aside(history, reason)
        put_aside(path, f"resumes from a history that {reason}")
        return None
    return state


def put_aside(path: Path, reason: str) -> None:
    aside = path.with_suffix(".damaged")
    path.replace(aside)
    log.warning("%s %s: moved to %s; training does not resume from it.", path, reason, aside.name)


def _whole(points: Mapping[str, Mapping[Point, str]]) -> list[Restart]:
    """Stacks, each at the latest point that all its runs which are here have."""
    found = []
    placed: set[str] = set()
    for point in _latest_first(points.values()):
        needed = [id for id in point.rows if id in points and id not in placed]
        if needed and all(point in points[id] for id in needed):
            found.append(Restart(needed, point.rows, point.compile, point))
            placed.update(needed)
    return found


def _rest(points: Mapping[str, Mapping[Point, str]]) -> list[Restart]:
    """Runs whose stack is not whole any more keep its rows; runs that were alone join those that stand beside them."""
    found = []
    placed: set[str] = set()
    for point in _latest_first(points.values()):
        ids = [id for id in points if id not in placed and point in points[id] and id in point.rows]
        if ids:
            found.append(Restart(ids, point.rows, point.compile, point))
            placed.update(ids)
    beside: dict[Point, list[str]] = {}
    for id, own in points.items():
        if id not in placed:
            latest = max(own, key=lambda point: point.step)
            if latest.rows:  # its stack goes on without it: it had ended, and only its record is missing
                found.append(Restart([id], (), None, latest))
            else:
                beside.setdefault(latest, []).append(id)
    return [*found, *(Restart(ids, (), None, point) for point, ids in beside.items())]


def _latest_first(points: Iterable[Mapping[Point, str]]) -> list[Point]:
    every = {point for own in points for point in own if point.rows or point.step}
    return sorted(every, key=lambda point: (point.step, point.rows), reverse=True)


def _point(state: Mapping[str, Any]) -> Point:
    stack, cursor = state.get("stack") or {}, state["cursor"]
    return Point(
        cursor["step"],
        cursor["epoch"],
        cursor["update"],
        tuple(stack.get("rows", ())),
        bool(stack.get("compile", False)),
    )

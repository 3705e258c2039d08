"""Jobs of a sweep: one for each run, or for each stack of runs, as the command line of an ordinary training."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.plan.cells import Cell
from paribus.plan.measured import Measured
from paribus.plan.stacks import stacks
from paribus.store.atomic import write_atomically
from paribus.store.store import Store


@dataclass(frozen=True)
class Job:
    """What a launcher gets. line: its overrides. cells: the runs that it trains."""

    line: list[str]
    cells: tuple[Cell, ...]


Lines = Mapping[str, tuple[Cell, list[str]]]  # run -> its cell, and the command line that trains it alone


def jobs_of(lines: Lines, settings: Any, folder: Path) -> list[Job]:
    """The jobs that train the cells of `lines`.

    folder: of the sweep; the members of stacks are written to its subfolder stacks.
    """
    measured = Measured(Path(settings.paths.outputs))
    jobs = []
    for group in stacks(
        [cell for cell, _ in lines.values()], settings.stack, slots_of(settings.hydra.launcher), measured.best_size
    ):
        line = lines[group.cells[0].id][1]
        if len(group.cells) > 1:
            line = [*line, f"members={json.dumps(str(write_members(group.cells, lines, folder)))}"]
        jobs.append(Job(line, group.cells))
    return jobs


def slots_of(launcher: Mapping[str, Any]) -> int:
    """How many jobs a launcher runs at a time, as far as its settings say so; each should get a stack."""
    if "slots" in launcher:  # our own: null stands for all cores
        return int(launcher["slots"] or max(1, (os.cpu_count() or 1) // int(launcher.get("threads") or 1)))
    found = launcher.get("n_jobs") or launcher.get("array_parallelism") or 1
    return max(1, int(found))


def write_members(cells: Sequence[Cell], lines: Lines, folder: Path) -> Path:
    """The file that a stack's job reads: all that the jobs of its members would have been told."""
    members = []
    for cell in cells:
        line = lines[cell.id][1]
        labels = dict(item.split("=", 1) for item in line if item.startswith(("group=", "arm=")))
        config = {**cell.config, **{key: json.loads(value) for key, value in labels.items()}}
        members.append({"config": config, "choices": dict(cell.choices), "overrides": line})
    name = hashlib.sha256("".join(cell.id for cell in cells).encode()).hexdigest()[:16]
    path = (folder / "stacks" / f"{name}.json").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"members": members}))
    return path


def failures_of(job: Job, error: Any, store: Store, describe: Callable[[Any], str]) -> dict[str, str]:
    """Run -> what went wrong, for a job that failed with `error`: only members without a result."""
    known = getattr(error, "failures", {}) if len(job.cells) > 1 else {}
    failures = {}
    for cell in job.cells:
        record = store.read(cell.id) if len(job.cells) > 1 else None
        if record is not None and record.status in ("done", "diverged"):
            continue
        reason = known.get(cell.id) or (record.failure or {}).get("message") if record is not None else None
        failures[cell.id] = f"{cell.arm} seed {cell.seed}: {known.get(cell.id) or reason or describe(error)}"
    return failures

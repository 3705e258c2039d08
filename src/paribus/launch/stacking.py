"""Jobs of a sweep: one for each run, or for each stack of runs, as the command line of an ordinary training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paribus.launch.jobs import Job
from paribus.launch.slots import cores
from paribus.plan.cells import Cell
from paribus.plan.grammar import literal, read_literal
from paribus.plan.measured import Measured
from paribus.plan.stacks import stacks
from paribus.store.atomic import write_atomically

Lines = Mapping[str, list[str]]  # run -> the command line that trains it alone


def jobs_of(cells: Sequence[Cell], lines: Lines, settings: Any, folder: Path) -> list[Job]:
    """The jobs that train the cells.

    settings: the composed configuration with Hydra's own node.
    folder: of the sweep; the members of stacks are written to its subfolder stacks.
    """
    slots = at_a_time(settings.hydra.launcher)
    measured = Measured(Path(settings.paths.outputs))
    jobs = []
    for group in stacks(cells, settings.stack, slots, measured.best_size, measured.refusal):
        line = lines[group.cells[0].id]
        if len(group.cells) > 1:
            line = [*line, f"members={literal(str(write_members(group.cells, lines, folder)))}"]
        jobs.append(Job(line, tuple(cell.id for cell in group.cells)))
    return jobs


def at_a_time(launcher: Mapping[str, Any]) -> int:
    """How many jobs a launcher runs at a time, by whatever name it calls that."""
    names = ("slots", "n_jobs", "array_parallelism", "parallel")
    if number := next((int(launcher[name]) for name in names if launcher.get(name)), None):
        return max(1, number)
    return max(1, cores() // launcher["threads"]) if launcher.get("threads") else 1


def runs_of(line: Sequence[str]) -> list[str]:
    """The runs that a job with this command line trains as a stack; none where it is a single run."""
    named = [Path(read_literal(item)) for item in line if item.startswith("members=")]
    try:
        return [each["id"] for path in named for each in json.loads(path.read_text(encoding="utf-8"))["members"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # somebody's own list: its job will say what is wrong with it


def write_members(cells: Sequence[Cell], lines: Lines, folder: Path) -> Path:
    """The file that a stack's job reads: all that the jobs of its members would have been told."""
    members = []
    for cell in cells:
        line = lines[cell.id]
        labels = {key: read_literal(item) for item in line if (key := item.partition("=")[0]) in ("group", "arm")}
        config = {**cell.config, **labels}
        members.append({"id": cell.id, "config": config, "choices": dict(cell.choices), "overrides": line})
    name = hashlib.sha256("".join(cell.id for cell in cells).encode()).hexdigest()[:16]
    path = (folder / "stacks" / f"{name}.json").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"members": members}))
    return path

"""Jobs of a sweep: one for each run, or for each stack of runs, as the command line of an ordinary training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paribus.ablation.cells import Cell
from paribus.base.atomic import write_atomically
from paribus.base.redaction import redacted_override
from paribus.config.grammar import literal, read_literal
from paribus.extras.stack.groups import Groups
from paribus.extras.stack.measured import Measured
from paribus.extras.stack.planning import LONELY, alone_because, checked, program, stacks
from paribus.extras.stack.withheld import withhold
from paribus.store.store import Store
from paribus.sweep.capacity import jobs_at_a_time
from paribus.sweep.child import count_gpus
from paribus.sweep.fork import shared_server
from paribus.sweep.grouping import Lines
from paribus.sweep.jobs import Job


def jobs_of(cells: Sequence[Cell], lines: Lines, settings: Any, folder: Path) -> list[Job]:
    """The jobs that train the cells. Runs that were planned as one job before stay together.

    settings: the composed configuration with Hydra's own node.
    folder: of the sweep; the members of stacks are written to its subfolder stacks.
    """
    jobs = []
    for members, group in _grouped(cells, settings):
        line = lines[members[0].id]
        if len(group) > 1:
            line = [*line, f"members={literal(str(write_members(members, lines, folder, group)))}"]
        jobs.append(Job(line, tuple(cell.id for cell in members)))
    return jobs


def _grouped(cells: Sequence[Cell], settings: Any) -> list[tuple[Sequence[Cell], Sequence[str]]]:
    """(cells of a job, all runs of the group that they belong to), in the order of the cells."""
    by_device: dict[str, list[Cell]] = {}
    for cell in cells:
        by_device.setdefault(cell.run.device, []).append(cell)
    found = [
        each
        for device, own in by_device.items()
        for each in _grouped_on(own, jobs_at_a_time(settings.hydra.launcher, device, count_from_server), settings)
    ]
    order = {cell.id: number for number, cell in enumerate(cells)}
    return sorted(found, key=lambda pair: order[pair[0][0].id])


def count_from_server() -> int:
    return int(shared_server().call(count_gpus))


def _grouped_on(cells: Sequence[Cell], slots: int, settings: Any) -> list[tuple[Sequence[Cell], Sequence[str]]]:
    """`_grouped` of cells of one kind of device."""
    store = Store(Path(settings.paths.outputs))
    measured, groups = Measured(store.root), Groups(store.root)
    limit, terms = checked(settings.stack), json.dumps([slots, str(settings.stack)])
    own = {cell.id: cell for cell in cells}
    found: list[tuple[Sequence[Cell], Sequence[str]]] = []
    if limit > 1:
        groups.forget(lambda id: id not in own and (record := store.read(id)) is not None and record.has_result)
        for group, ids in groups.known(own, terms, lambda id: _has_begun(store, id)).items():
            members = [own[id] for id in ids]
            if len(members) <= limit and _share_a_program(members, measured):
                found.append((members, group))
    known = {cell.id for members, _ in found for cell in members}
    left = [cell for cell in cells if cell.id not in known]
    new = stacks(left, settings.stack, slots, measured.best_size, measured.refusal)
    if limit > 1:
        # A run without company today may have some tomorrow; one that can't be stacked has none ever.
        planned = [group.cells for group in new if len(group.cells) > 1 or group.reason == LONELY]
        groups.remember([tuple(cell.id for cell in members) for members in planned], terms)
    return [*found, *((group.cells, [cell.id for cell in group.cells]) for group in new)]


def _has_begun(store: Store, id: str) -> bool:
    """Whether a run has a checkpoint to go on from."""
    folder = store.run_dir(id) / "checkpoints"
    return any((folder / name).exists() for name in ("last.ckpt", "next.ckpt"))


def _share_a_program(members: Sequence[Cell], measured: Measured) -> bool:
    """Whether a group that was planned before can be trained as one with what is configured now."""
    if any(alone_because(cell.run) for cell in members):
        return False
    programs = {program(cell.run) for cell in members}
    return len(programs) == 1 and measured.refusal(programs.pop()) is None


def members_file(line: Sequence[str]) -> Path | None:
    """The file that lists the runs of a job; None where it is a single run."""
    return next((Path(read_literal(item)) for item in line if item.startswith("members=")), None)


def runs_of(line: Sequence[str]) -> list[str]:
    """The runs that a job with this command line trains as a stack; none where it is a single run."""
    try:
        path = members_file(line)
        return [each["id"] for each in json.loads(path.read_text(encoding="utf-8"))["members"]] if path else []
    except (OSError, ValueError, KeyError, TypeError):
        return []  # somebody's own list: its job will say what is wrong with it


def write_members(cells: Sequence[Cell], lines: Lines, folder: Path, group: Sequence[str] = ()) -> Path:
    """The file that a stack's job reads: all that the jobs of its members would have been told.

    group: the runs that were planned as one job, of which some may have ended.
    The environment of this process is given what the file does not hold, see `paribus.extras.stack.withheld`.
    """
    members = []
    for cell in cells:
        line = lines[cell.id]
        labels = {key: read_literal(item) for item in line if (key := item.partition("=")[0]) in ("group", "arm")}
        config = {**cell.run.resolved, **labels}
        members.append(
            {
                "id": cell.id,
                "config": config,
                "choices": dict(cell.choices),
                "overrides": [*map(redacted_override, line)],
            }
        )
    name = hashlib.sha256("".join(cell.id for cell in cells).encode()).hexdigest()[:16]
    path = (folder / "stacks" / f"{name}.json").absolute()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # secrets are withheld as far as they look like some
    write_atomically(path, json.dumps({"members": withhold(members, path), "group": list(group)}))
    return path

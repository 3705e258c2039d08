"""The members of a stack: the file that lists them, and their rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError
from paribus.config.identity import run_id
from paribus.config.run import Run
from paribus.extras.stack.withheld import restore
from paribus.store.names import read_bounded
from paribus.store.record import Record
from paribus.store.store import Store

MEMBERS_BYTES = 256 << 20


class NotBegun(Exception):
    """A stack failed before its first update, of the exception that is its cause."""


@dataclass
class Member:
    """One run of a stack, its record so far, and its folder.

    absent: it is not trained here, but it has a row: those of the others round as if it were.
    """

    run: Run
    record: Record
    folder: Path
    absent: bool = False


def read_members(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(what a sweep says of each run to train, all runs that it planned as one job: some may have ended).

    Raises UserError for anything else, and where the secrets of the runs are missing in the environment.
    """
    try:
        content = json.loads(read_bounded(path, MEMBERS_BYTES))
        members = restore(content["members"], path)
        if not members or not all({"config", "choices", "overrides"} <= set(each) for each in members):
            raise ValueError("it lists no runs")
        group = content.get("group") or [run_id(each["config"]) for each in members]
        if not {run_id(each["config"]) for each in members} <= set(group):
            raise ValueError("some of its runs are missing")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"members={path} must be a list of runs that a sweep has written, and it can't be read "
            f"({type(error).__name__}: {error}). Run the sweep again"
        ) from error
    return members, [str(id) for id in group]


def in_order(members: Sequence[Member]) -> list[Member]:
    """The rows of a new stack: equal optimizers stand next to each other, so that their weights are updated as one."""
    return sorted(members, key=_order)


def _order(member: Member) -> str:
    run = member.run
    parts = [run.optimizer, run.scheduler, run.decay, asdict(run.lr_scaling), asdict(run.clip)]
    return json.dumps([parts, asdict(run.seeds)], sort_keys=True)


def with_places(going: Sequence[Member], rows: Sequence[str], store: Store) -> list[Member]:
    """The members in the rows that they had, with places for the runs that are not here.

    Without places where the configuration of such a run is gone: the others then round otherwise from here on,
    which the segments of their records say.
    """
    here = {member.record.id: member for member in going}
    members = []
    for id in rows:
        if (member := here.get(id)) is None:
            try:
                member = Member(Run.parse(store.config(id)), Record(id, "running"), store.run_dir(id), absent=True)
            except UserError:
                return in_order(going)
        members.append(member)
    return members


def running(members: Sequence[Member]) -> list[Member]:
    """Those that are trained here and have not ended."""
    return [member for member in members if not member.absent and member.record.status == "running"]

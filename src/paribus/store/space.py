"""Checkpoints that nobody needs any more: how large they are, and their removal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from paribus.base.durations import seconds_since
from paribus.store.lock import Busy
from paribus.store.record import Record
from paribus.store.store import Store


@dataclass(frozen=True)
class Unneeded:
    """The checkpoint files of one run, and their size in bytes. state: of the run, as of now."""

    record: Record
    state: str
    files: tuple[Path, ...]
    size: int


def unneeded(store: Store, needed: Collection[str], keep_seconds: float) -> list[Unneeded]:
    """Runs with checkpoints that are not `needed`, older than `keep_seconds`, and not trained by any process now."""
    found = []
    for record in store.scan():
        age = seconds_since(record.finished or record.created)
        state = store.state(record)
        if record.id in needed or state == "running" or age is None or age < keep_seconds:
            continue
        files = tuple(sorted(path for path in (store.run_dir(record.id) / "checkpoints").glob("*") if path.is_file()))
        if files:
            found.append(Unneeded(record, state, files, sum(path.stat().st_size for path in files)))
    return sorted(found, key=lambda each: -each.size)


def remove(store: Store, found: Unneeded) -> bool:
    """Delete the files, and the folder where nothing else is in it; False for a run that is trained again now."""
    try:
        with store.lock(found.record.id):
            for path in found.files:
                path.unlink(missing_ok=True)
            folder = store.run_dir(found.record.id) / "checkpoints"
            if not any(folder.iterdir()):
                folder.rmdir()
    except Busy:
        return False
    return True

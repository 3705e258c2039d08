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
    """The checkpoint files of one run, and their size in bytes. state: of the run, as of now.

    kept: the size of its final weights in bytes, where they are small enough to stay: they are not among the files.
    """

    record: Record
    state: str
    files: tuple[Path, ...]
    size: int
    kept: int = 0

    @property
    def loses_weights(self) -> bool:
        """Whether a finished run is left without the weights that it was tested with."""
        return any(path.stem == self.record.evaluated for path in self.files) and self.record.status == "done"


def unneeded(store: Store, needed: Collection[str], keep_seconds: float, small: float = 0) -> list[Unneeded]:
    """Runs with checkpoints that are not `needed`, older than `keep_seconds`, and not trained by any process now.

    small: bytes that the weights which a finished run was tested with may take at most, to be kept.
    """
    found = []
    for record in store.scan():
        age = seconds_since(record.finished or record.created)
        state = store.state(record)
        if record.id in needed or state == "running" or age is None or age < keep_seconds:
            continue
        checkpoints = (store.run_dir(record.id) / "checkpoints").glob("*")
        sizes = {path: path.stat().st_size for path in sorted(checkpoints) if path.is_file()}
        tested = next((path for path in sizes if path.name == f"{record.evaluated}.ckpt"), None)
        kept = sizes.pop(tested) if tested and record.status == "done" and sizes[tested] <= small else 0
        if sizes:
            found.append(Unneeded(record, state, tuple(sizes), sum(sizes.values()), kept))
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

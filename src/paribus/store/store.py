"""The folder of all records: outputs/runs/<id>/."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paribus.base.atomic import remove_leftovers, write_atomically
from paribus.base.errors import UserError
from paribus.store.checksums import SMALL, changed
from paribus.store.history import read_history, write_history
from paribus.store.index import Index, mark
from paribus.store.lock import exclusive, is_held
from paribus.store.names import FILE_BYTES, checked_id, is_id, read_beyond, read_yaml
from paribus.store.record import Record, RecordError

CURVES = "curves.csv"  # in the folder of a run that was imported


class Store:
    """Reads and writes records. A record appears whole or not at all.

    root: the outputs folder; records lie in root/runs.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.runs = self.root / "runs"

    def run_dir(self, id: str) -> Path:
        """Raises UserError for what can't be an id."""
        return self.runs / checked_id(id)

    def read(self, id: str) -> Record | None:
        """The record, or None where there is none; a damaged one is named in a warning and counts as none."""
        if not is_id(id):
            return None
        path = f"{self.runs}/{id}/record.json"  # a Path costs as much as reading the file
        try:
            with open(path, "rb", buffering=0) as file:
                content = read_beyond(file, FILE_BYTES)
            if len(content) > FILE_BYTES:
                raise RecordError(f"it has more than {FILE_BYTES >> 20} MB")
            record = Record.from_json(content)
            if record.id != id:
                raise RecordError(f"it is the record of {record.id}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (RecordError, OSError) as error:
            warnings.warn(f"{path} can't be used: {error}; the run counts as not trained", stacklevel=2)
            return None
        return record

    def finished(self, id: str) -> Record | None:
        """The record of a run that needs no more training: done or diverged, and its small files are as recorded."""
        record = self.read(id)
        return record if record is not None and record.has_result and not self.damage(record) else None

    def damage(self, record: Record, names: Sequence[str] = SMALL) -> list[str]:
        """The files of a run that are not what its record says. Records without checksums are believed."""
        return changed(self.run_dir(record.id), record.checksums, names) if record.checksums else []

    def put_aside(self, id: str, names: Sequence[str]) -> None:
        """Rename files of a run to *.damaged, so that nobody uses them."""
        for name in names:
            path = self.run_dir(id) / name
            if path.exists():
                path.replace(path.with_suffix(".damaged"))

    def write(self, record: Record, *, wait: bool = True) -> None:
        """Replace the record of a run; a reader sees the old one or the new one, also after a crash.

        That a run has begun may be lost in a power cut: it goes on from its checkpoint all the same.

        wait: until the disk has it. Who writes many that can be made again waits once, by os.sync().
        """
        folder = self.run_dir(record.id)
        folder.mkdir(parents=True, exist_ok=True)
        kept = wait and record.status != "running"
        write_atomically(folder / "record.json", record.to_json(), "new" if kept else "any")

    def replace(self, id: str) -> Path:
        """Move the folder of a run to root/replaced, where nothing reads it; the run then counts as not trained."""
        replaced = self.root / "replaced"
        replaced.mkdir(parents=True, exist_ok=True)
        number = sum(path.name.startswith(f"{id}-") for path in replaced.iterdir()) + 1
        return self.run_dir(id).rename(replaced / f"{id}-{number}")

    def ids(self) -> list[str]:
        """Names of the folders of all runs, in order."""
        try:
            with os.scandir(self.runs) as entries:
                return sorted(entry.name for entry in entries if is_id(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def scan(self) -> Iterator[Record]:
        """All readable records, in the order of their ids: by the index, where that has them as they are."""
        index = Index(self.root)
        for id, row in index.beside(self.ids()):
            if (now := mark(f"{self.runs}/{id}/record.json")) is None:
                continue
            record = index.record(row, now) if row is not None else None
            if record is None and (record := self.read(id)) is not None:
                index.learn(record, now)
            if record is not None:
                yield record
        index.write_if_due(enough=True)
        index.close()

    def history(self, id: str) -> dict[str, list[float]]:
        """The columns of history.csv; {} where there is none. Raises HistoryError for a damaged one."""
        return read_history(self.run_dir(id) / "history.csv")

    def curves(self, id: str) -> dict[str, list[float]]:
        """The history, or where there is none a few points of it, which came with an imported record: to be drawn, and
        for nothing else."""
        return self.history(id) or read_history(self.run_dir(id) / CURVES)

    def write_curves(self, id: str, columns: Mapping[str, Sequence[float]]) -> None:
        """The few points that `curves` reads."""
        write_history(self.run_dir(id) / CURVES, columns)

    def find(self, name: str) -> Record:
        """The record whose id begins with `name`, or whose folder `name` is.

        Raises UserError where there is none or more than one.
        """
        known = self.ids()
        prefix = Path(name).name
        matching = [prefix] if prefix in known else [id for id in known if prefix and id.startswith(prefix)]
        if not matching:
            given = name if len(name) <= 100 else f"{name[:100]}..."
            raise UserError(f"no run in {self.runs} has an id that starts with {given!r}. List ids: paribus runs")
        if len(matching) > 1:
            shown = ", ".join(matching[:5])
            raise UserError(
                f"{len(matching)} runs have an id that starts with {prefix!r}: {shown}. Give more of the id"
            )
        record = self.read(matching[0])
        if record is None:
            raise UserError(f"{self.run_dir(matching[0])} has no readable record. Train the run again")
        return record

    def locks(self) -> Path:
        """The folder of locks, made if need be. Raises UserError where nothing can be written."""
        locks = self.root / "locks"
        try:
            locks.mkdir(parents=True, exist_ok=True)
            reason = None if os.access(locks, os.W_OK) else "permission denied"
        except OSError as error:
            reason = str(error.strerror)
        if reason:
            raise UserError(f"records are written to {self.root}: {reason}. Set paths.outputs to another folder")
        return locks

    @contextmanager
    def lock(self, id: str, *, blocking: bool = False) -> Iterator[None]:
        """Only one process at a time trains a run; a killed one lets go.

        blocking: wait for the other process instead of raising.

        Raises Busy where another process holds it, UserError where the folder can't be written.
        """
        # Not in the run's folder: a run that fails before it starts leaves none.
        with exclusive(self.locks() / checked_id(id), f"run {id}", blocking=blocking):
            remove_leftovers(self.run_dir(id))
            yield

    def is_locked(self, id: str) -> bool:
        """Whether some process trains this run now, on this machine or on another one that shares the folder."""
        return is_id(id) and is_held(self.root / "locks" / id)

    def state(self, record: Record) -> str:
        """The status of a run as of now: one that says running, but that no process trains, was interrupted."""
        return "interrupted" if record.status == "running" and not self.is_locked(record.id) else record.status

    def config(self, id: str) -> dict[str, Any]:
        """The resolved configuration of a run. Raises UserError where it is missing or damaged."""
        path = self.run_dir(id) / "config.yaml"
        try:
            config = read_yaml(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} can't be read: {error}. Train the run again") from error
        if not isinstance(config, dict):
            raise UserError(f"{path} holds no configuration. Train the run again")
        return config

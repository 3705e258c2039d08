"""The folder of all records: outputs/runs/<id>/."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paribus.errors import UserError
from paribus.store.history import read_history
from paribus.store.record import Record, RecordError


class Store:
    """Reads and writes records. A record appears whole or not at all.

    root: the outputs folder; records lie in root/runs.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.runs = self.root / "runs"

    def run_dir(self, id: str) -> Path:
        return self.runs / id

    def read(self, id: str) -> Record | None:
        """The record, or None where there is none; a damaged one is named in a warning and counts as none."""
        path = self.run_dir(id) / "record.json"
        try:
            record = Record.from_json(path.read_text())
        except FileNotFoundError:
            return None
        except (RecordError, UnicodeDecodeError) as error:
            warnings.warn(f"{path} can't be used ({error}); the run counts as not trained", stacklevel=2)
            return None
        if record.id != id:
            warnings.warn(f"{path} is the record of {record.id}; the run counts as not trained", stacklevel=2)
            return None
        return record

    def write(self, record: Record) -> None:
        """Replace the record of a run; a reader sees the old one or the new one, also after a crash."""
        folder = self.run_dir(record.id)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".record.{os.getpid()}.tmp"
        try:
            with open(temporary, "w") as file:
                file.write(record.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / "record.json")
        finally:
            temporary.unlink(missing_ok=True)

    def scan(self) -> Iterator[Record]:
        """All readable records, in the order of their ids."""
        if not self.runs.is_dir():
            return
        for name in sorted(entry.name for entry in os.scandir(self.runs) if entry.is_dir()):
            if (record := self.read(name)) is not None:
                yield record

    def history(self, id: str) -> dict[str, list[float]]:
        """The columns of history.csv; empty where there is none."""
        return read_history(self.run_dir(id) / "history.csv")

    def find(self, name: str) -> Record:
        """The record whose id begins with `name`, or whose folder `name` is.

        Raises UserError where there is none or more than one.
        """
        prefix = Path(name).name
        known = [entry.name for entry in os.scandir(self.runs) if entry.is_dir()] if self.runs.is_dir() else []
        matching = [id for id in known if id.startswith(prefix)]
        if len(matching) != 1:
            what = f"{len(matching)} runs begin with it: {', '.join(sorted(matching)[:5])}" if matching else "there is none"
            raise UserError(f"a run is named by the beginning of its id, got {name!r}: {what}. Look into {self.runs}")
        record = self.read(matching[0])
        if record is None:
            raise UserError(f"{self.run_dir(matching[0])} has no readable record. Train the run again")
        return record

    @contextmanager
    def lock(self, id: str) -> Iterator[None]:
        """Only one process at a time trains a run. The kernel lets go of the lock when its owner dies.

        Raises UserError where another process holds it.
        """
        try:
            self.run_dir(id).mkdir(parents=True, exist_ok=True)
            file = open(self.run_dir(id) / ".lock", "w")  # noqa: SIM115 held until the end of the context
        except OSError as error:
            raise UserError(f"records can't be written to {self.runs}: {error}. Set paths.outputs to another folder") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another process is training run {id} right now. Wait for it, or stop it") from None
            yield

"""The index of the records: outputs/index.sqlite, from which many records are read at once in little time.

It is never the truth. An entry counts only as long as its record.json has the inode, the size and the time that it had
when the entry was made; all else is read from the record itself. So the index may be missing, old, broken or deleted at
any time, and nobody notices but by the time that a command takes.

No process ever writes into an index that another may be reading: whoever has read enough records that it lacks writes a
new file and renames it to its place. So there are no locks, which network file systems often lack, and of several
writers the last one wins. The file is opened as one that nobody changes, which the renaming makes true.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from paribus.store.record import Record, shared_declared

NAME = "index.sqlite"
FORMAT = 1  # raise it with the form of the entries: an index of another form is made anew
LEAST = 500  # records that must be missing before an index is written: so many are read in a tenth of a second
SHARE = 0.02  # and the share of all
FRESH = 2.0  # seconds: a file that was just written may change once more within the grain of its time
_TABLES = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA user_version = {FORMAT};
CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, time INTEGER, size INTEGER, inode INTEGER, kind INTEGER,
    seed INTEGER, created TEXT, finished TEXT, command TEXT, checksums TEXT, numbers BLOB, sum INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kinds (number INTEGER PRIMARY KEY, text TEXT UNIQUE, sum INTEGER);
"""
_OWN = ("id", "seed", "created", "finished")  # what a record has by itself
_PACKED = ("provenance", "checksums", "metrics", "timing")  # and what is unpacked when it is asked for

# What comes of files that are no database any more, or somebody else's.
BROKEN = (sqlite3.Error, ValueError, LookupError, TypeError, ArithmeticError)

# As in the table.
Row = tuple[str, int, int, int, int, int | None, str | None, str | None, str | None, str, bytes, int]
Mark = tuple[int, int, int]  # time, size and inode of a file


def mark(path: str) -> Mark | None:
    """What says whether a file is still the same; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Index:
    """The entries of one outputs folder, as they were when it was opened; none where there is no usable file.

    What is read from records is handed to `learn`, and written once it is worth it.
    """

    def __init__(self, root: Path):
        self.path = root / NAME
        self._open()

    def _open(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._kinds: dict[int, _Kind] = {}  # by their numbers
        self._new: dict[str, tuple[Mark, Record]] = {}
        self.size = 0
        self._gone: list[str] = []
        self._broken = False  # whether something in it can't be read
        self._wait = LEAST
        if not self.path.is_file():
            return
        try:
            connection = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
            [version] = connection.execute("PRAGMA user_version").fetchone()
            [self.size] = connection.execute("SELECT COUNT(*) FROM records").fetchone()
        except BROKEN:
            return
        if version == FORMAT:
            self._connection = connection
            self._wait = max(LEAST, int(SHARE * self.size))

    def find(self, id: str, now: Mark) -> Record | None:
        """The record of an entry that is up to date."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute("SELECT * FROM records WHERE id = ?", (id,)).fetchone()
        except BROKEN:
            self._broken = True
            return None
        return self.record(row, now) if row is not None else None

    def beside(self, ids: Iterable[str]) -> Iterator[tuple[str, Row | None]]:
        """Each id with its entry. What is in the index beyond these ids is forgotten.

        ids: of all records, in order.
        """
        rows = self.rows()
        row = next(rows, None)
        for id in ids:
            while row is not None and row[0] < id:
                self._gone.append(row[0])
                row = next(rows, None)
            if row is not None and row[0] == id:
                yield id, row
                row = next(rows, None)
            else:
                yield id, None
        self._gone += [each[0] for each in (row, *rows) if each is not None]

    def rows(self) -> Iterator[Row]:
        """All entries in the order of their ids, up to the first place where the file is broken."""
        try:
            for row in self._connection.execute("SELECT * FROM records ORDER BY id") if self._connection else ():
                if not isinstance(row[0], str):
                    raise ValueError("an entry was damaged")
                yield row
        except BROKEN:
            self._broken = True

    def record(self, row: Row, now: Mark) -> Record | None:
        """The record of an entry; None where its file has changed since, or the entry has."""
        if row[1:4] != now:
            return None
        try:
            if _sum(row[:-1]) != row[-1]:
                raise ValueError("an entry was damaged")
            if (kind := self._kinds.get(row[4])) is None:
                kind = self._kinds[row[4]] = self._kind(row[4])
            return kind.record(row)
        except BROKEN:
            self._broken = True
            return None

    def learn(self, record: Record, then: Mark) -> None:
        """Keep a record that was read from a file with this mark, unless that is so fresh that it may change unseen."""
        if time.time() - then[0] / 1e9 > FRESH and _fits(record):
            self._new[record.id] = (then, record)

    def write_if_due(self, *, enough: bool = False) -> None:
        """Write a new index where it lacks many records, and read that one from now on.

        enough: whether the caller will ask for no more.
        """
        due = len(self._new) >= self._wait
        if due or (enough and len(self._new) >= LEAST):
            with suppress(OSError, sqlite3.Error):  # a folder that can't be written, a full disk: there is none then
                try:
                    self._write()
                except BROKEN:  # nobody has noticed so far
                    self._broken = True
                    self._write()
            self.close()
            self._open()
            if not enough:
                self._wait = max(self._wait, self.size)  # so that all writing takes no more than twice the last one

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # ------------------------------------------------------------------------------------------ writing

    def _write(self) -> None:
        for left in self.path.parent.glob(f".{NAME}.*"):  # by a process that was killed
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink(missing_ok=True)
        temporary = self.path.with_name(f".{NAME}.{uuid.uuid4().hex}")
        try:
            with closing(sqlite3.connect(temporary)) as new:
                if self._connection is not None and not self._broken:
                    self._connection.backup(new)
                new.executescript(_TABLES)
                with new:
                    kinds = {text: number for number, text in new.execute("SELECT number, text FROM kinds")}
                    rows = [_row(record, then, kinds) for then, record in self._new.values()]
                    sums = [(n, text, zlib.crc32(text.encode(), n)) for text, n in kinds.items()]
                    new.executemany("INSERT OR IGNORE INTO kinds VALUES (?, ?, ?)", sums)
                    new.executemany(f"INSERT OR REPLACE INTO records VALUES ({', '.join('?' * 12)})", rows)
                    new.executemany("DELETE FROM records WHERE id = ?", [(id,) for id in self._gone])
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _kind(self, number: int) -> _Kind:
        assert self._connection is not None
        text, total = self._connection.execute("SELECT text, sum FROM kinds WHERE number = ?", (number,)).fetchone()
        if zlib.crc32(text.encode(), number) != total:
            raise ValueError("a kind was damaged")
        content = json.loads(text)
        if content["fields"]["declared"]:
            content["fields"]["declared"] = shared_declared(content["fields"]["declared"])
        names = [each.name for each in fields(Record) if each.name not in _PACKED]
        content["fields"] = {name: content["fields"].get(name) for name in names}
        return _Kind(**content)


@dataclass(frozen=True)
class _Kind:
    """What records have in common that differ in their seeds, say: all but what they have by themselves.

    provenance: with the command as null. metrics, timing: the names of their numbers. whole: places of whole numbers.
    files: that have checksums.
    """

    fields: dict[str, Any]
    provenance: dict[str, Any]
    metrics: list[str]
    timing: list[str]
    whole: list[int]
    files: list[str]

    def record(self, row: Row) -> Record:
        """A record of this kind. It shares its choices with others, as nobody changes those of a record.

        It is built without __init__, and what it has of its own is unpacked when it is asked for: both take longer than
        all the rest, and a list of runs shows few of them whole.
        """
        if len(row[10]) != 8 * (len(self.metrics) + len(self.timing)):
            raise ValueError("an entry has a number for each name of its kind")
        values = self.fields.copy()
        values["id"], values["seed"], values["created"], values["finished"] = row[0], row[5], row[6], row[7]
        values["_unpack"] = partial(self.unpacked, row)
        record = Record.__new__(Record)
        record.__dict__ = values
        return record

    def unpacked(self, row: Row) -> dict[str, Any]:
        """The fields that hold what a record has of its own."""
        command, checksums, content = row[8:11]
        numbers: list[float] = array("d", content).tolist()
        for k in self.whole:
            numbers[k] = int(numbers[k])
        first = len(self.metrics)
        return {
            "provenance": {**self.provenance, **({} if command is None else {"command": command})},
            "checksums": dict(zip(self.files, checksums.split(), strict=True)),
            "metrics": dict(zip(self.metrics, numbers, strict=False)),
            "timing": dict(zip(self.timing, numbers[first:], strict=True)),
        }


def _row(record: Record, then: Mark, kinds: dict[str, int]) -> Row:
    """The entry of a record. kinds: text -> number, added to."""
    shared = {each.name: getattr(record, each.name) for each in fields(Record) if each.name not in (*_OWN, *_PACKED)}
    command = record.provenance.get("command")
    numbers = [*record.metrics.values(), *record.timing.values()]
    kind = {
        "fields": shared,
        "provenance": record.provenance if command is None else {**record.provenance, "command": None},
        "metrics": list(record.metrics),
        "timing": list(record.timing),
        "whole": [k for k, number in enumerate(numbers) if type(number) is int],
        "files": list(record.checksums),
    }
    text = json.dumps(kind, separators=(",", ":"), ensure_ascii=False)
    number = kinds.setdefault(text, len(kinds) + 1)
    checksums = " ".join(record.checksums.values())
    own = (record.seed, record.created, record.finished, command, checksums, array("d", numbers).tobytes())
    row = (record.id, *then, number, *own)
    return (*row, _sum(row))


def _sum(row: tuple[Any, ...]) -> int:
    """A checksum: a file that was damaged here and there may still be a database."""
    id, time, size, inode, kind, seed, created, finished, command, checksums, numbers = row
    text = f"{id}{time}{size}{inode}{kind}{seed}{created}{finished}{command}{checksums}"
    return zlib.crc32(numbers, zlib.crc32(text.encode()))


def _fits(record: Record) -> bool:
    """Whether an entry can hold it: larger whole numbers are no floats, and checksums are words."""
    numbers = (*record.metrics.values(), *record.timing.values())
    return all(type(number) is float or abs(number) < 2**53 for number in numbers) and all(
        isinstance(word, str) and word.isalnum() for word in record.checksums.values()
    )

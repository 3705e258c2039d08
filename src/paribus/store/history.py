"""The metrics of a run over time: history.csv, one row an epoch."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from paribus.base.atomic import reason, write_atomically
from paribus.base.errors import StorageFailed, UserError

Number = float | int


class HistoryError(UserError, ValueError):
    """A history.csv can't be used: it is damaged elsewhere than in a last line cut off by a kill."""


class HistoryWriter:
    """Collects rows and writes them at intervals of time, since an epoch may last milliseconds.

    A row maps epoch, step, seconds and metric names to numbers; a new name adds a column, and rows without it
    stay empty there. Flush before a checkpoint is written: rows that are on neither are lost with a killed
    process, and the resumed run does not train them again.

    every_seconds: longest time between two writes.
    """

    def __init__(self, path: Path | str, every_seconds: float = 10.0):
        self.path = Path(path)
        self.every_seconds = every_seconds
        self._rows: list[dict[str, Number]] = []  # not yet written
        self._columns: list[str] = []  # of the file; empty while this writer has written none
        self._written = time.monotonic()

    def append(self, row: Mapping[str, Number]) -> None:
        self._rows.append(dict(row))
        if time.monotonic() - self._written > self.every_seconds:
            self.flush()

    def resume(self, step: int) -> None:
        """Keep the rows of an interrupted run up to `step`: later ones will be trained again.

        The kept lines stay as they are, so that the file ends as that of a run which was never interrupted.
        Without this call the first write starts the file anew.
        """
        columns, lines = _read_lines(self.path)
        if not columns:
            return
        at = columns.index("step")
        self._columns = columns
        _replace(self.path, columns, [line for line in lines if _value(line[at], self.path) <= step])

    def flush(self) -> None:
        """Write all rows so far, through to the disk."""
        self._written = time.monotonic()
        if self._columns and not self.path.exists():  # appending would begin a file without its head
            self._rows = []
            raise StorageFailed(f"{self.path} was removed during the training")
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        new = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in self._columns]
        if not self._columns or new:
            earlier = _read_lines(self.path)[1] if self._columns else []
            columns = [*self._columns, *new]
            lines = [*(_padded(line, len(columns)) for line in earlier), *(_line(row, columns) for row in rows)]
            _replace(self.path, columns, lines)
            self._columns = columns
            return
        try:
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(_line(row, self._columns) for row in rows)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageFailed(f"{self.path} can't be written: {reason(error)}. Make room") from error

    def close(self) -> None:
        self.flush()


def _line(row: Mapping[str, Number], columns: Sequence[str]) -> list[str]:
    return [repr(row[name]) if name in row else "" for name in columns]


def _replace(path: Path, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    # The record is written to the same folder later, and brings the name to the disk.
    write_atomically(path, "".join(map(_text, [columns, *lines])), "old or new")


def write_history(path: Path | str, columns: Mapping[str, Sequence[float]]) -> None:
    """A whole history at once, such as one that was imported: columns of one length, nan for no value.

    The disk need not have it yet: who writes many that can be made again waits once, by os.sync().
    """
    rows = zip(*columns.values(), strict=True)
    lines = [["" if math.isnan(value) else repr(value) for value in row] for row in rows]
    write_atomically(Path(path), "".join(map(_text, [list(columns), *lines])), "any")


def read_history(path: Path | str) -> dict[str, list[float]]:
    """Columns of a history.csv as numbers; nan where a row has no value, {} where there is no file.

    A last line that was cut off is left out. Raises HistoryError for any other damage.
    """
    path = Path(path)
    columns, lines = _read_lines(path)
    return {name: [_value(line[k], path) for line in lines] for k, name in enumerate(columns)}


def _read_lines(path: Path) -> tuple[list[str], list[list[str]]]:
    """Column names, and the fields of each whole line."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return [], []
    except UnicodeDecodeError as error:
        raise _damaged(path, str(error)) from error
    whole = text[: text.rfind("\n") + 1]
    columns, *lines = list(csv.reader(whole.splitlines())) or [[]]
    if columns and "step" not in columns:
        raise _damaged(path, "it has no column named step")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(columns):
            raise _damaged(path, f"line {number} has {len(line)} fields, the first line {len(columns)}")
    return columns, lines


def _value(field: str, path: Path) -> float:
    try:
        return float(field) if field else math.nan
    except ValueError:
        raise _damaged(path, f"{field!r} is not a number") from None


def _damaged(path: Path, reason: str) -> HistoryError:
    return HistoryError(f"{path} is damaged: {reason}. Remove the file to go on without these rows")


def _padded(line: Sequence[str], width: int) -> list[str]:
    return [*line, *[""] * (width - len(line))]


def _text(line: Sequence[str]) -> str:
    return ",".join('"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field for field in line) + "\n"

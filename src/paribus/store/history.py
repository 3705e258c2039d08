"""The metrics of a run over time: history.csv, one row an epoch."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class HistoryWriter:
    """Collects rows and writes them at intervals of time, since an epoch may last milliseconds.

    Rows hold epoch, step, seconds and any metrics; a new metric adds a column. The file is replaced as a whole, so
    that it is never seen half written.
    """

    def __init__(self, path: Path, every_seconds: float = 10.0):
        self.path = path
        self.every_seconds = every_seconds
        self.rows: list[Mapping[str, Any]] = []
        self._written = time.monotonic()

    def append(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)
        if time.monotonic() - self._written > self.every_seconds:
            self.flush()

    def resume(self, step: int) -> None:
        """Take over the rows of an interrupted run up to `step`; later ones will be trained again."""
        columns = read_history(self.path)
        length = len(next(iter(columns.values()), []))
        rows = [{name: values[k] for name, values in columns.items()} for k in range(length)]
        kept = [{key: value for key, value in row.items() if not math.isnan(value)} for row in rows if row["step"] <= step]
        for row in kept:
            row.update(epoch=int(row["epoch"]), step=int(row["step"]))
        self.rows = [*kept, *self.rows]

    def flush(self) -> None:
        if not self.rows:
            return
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(buffer.getvalue())
        os.replace(temporary, self.path)
        self._written = time.monotonic()


def read_history(path: Path) -> dict[str, list[float]]:
    """Columns of a history.csv as numbers; nan where a row has no value."""
    try:
        with open(path, newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            names = reader.fieldnames or []
    except FileNotFoundError:
        return {}
    return {name: [float(row[name]) if row[name] else math.nan for row in rows] for name in names}

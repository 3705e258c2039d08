"""All runs as tidy data: one row for each run, or one row for each value of a history."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from paribus.base.atomic import temporary_beside
from paribus.base.errors import UserError
from paribus.base.redaction import redacted, redacted_text
from paribus.report.escape import spreadsheet
from paribus.store.history import HistoryError
from paribus.store.record import Record
from paribus.store.store import Store

Line = dict[str, Any]
FORMATS = ("csv", "parquet")
LONG = {"id": str, "epoch": float, "step": float, "seconds": float, "metric": str, "value": float}
CHUNK = 100_000  # lines to a row group of parquet


def run_line(record: Record) -> Line:
    """id, ablation, arm, seed, status and times; then choice.KEY, metric names as recorded, timing.NAME, and
    provenance. Plain values only."""
    source = record.provenance
    line: Line = {
        "id": record.id,
        "ablation": record.ablation,
        "arm": record.arm,
        "seed": record.seed,
        "status": record.status,
        "failure": (record.failure or {}).get("type"),
        "evaluated": record.evaluated,
        "parameters": record.parameters,
        "created": record.created,
        "finished": record.finished,
        "imported": (source.get("imported") or {}).get("from"),
        "commit": source.get("commit"),
        "device": (source.get("hardware") or {}).get("device"),
        "command": redacted_text(source.get("command") or "") or None,
    }
    line |= {f"choice.{key}": _plain(value) for key, value in redacted(record.choices).items()}
    line |= {f"shared.{key}": _plain(value) for key, value in record.comparable.items()}
    line |= dict(record.metrics)
    return line | {f"timing.{key}": value for key, value in record.timing.items()}


def history_lines(store: Store, ids: Iterable[str], damaged: list[str]) -> Iterator[Line]:
    """One line for each metric of each row of each history; histories that can't be read go to `damaged`."""
    for id in ids:
        try:
            history = store.history(id)
        except HistoryError as error:
            damaged.append(str(error))
            continue
        places = [history.get(axis) for axis in ("epoch", "step", "seconds")]
        for metric, values in history.items():
            if metric in LONG:
                continue
            for number, value in enumerate(values):
                if not math.isnan(value):
                    epoch, step, seconds = (place[number] if place else math.nan for place in places)
                    yield dict(zip(LONG, (id, epoch, step, seconds, metric, value), strict=True))


def form_of(path: Path) -> str:
    """csv or parquet, by the ending. Raises UserError for another one, and where pyarrow is needed and missing."""
    form = path.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise UserError(f"export writes files ending in .csv or .parquet, got {path.name}")
    if form == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError as error:
            raise UserError(
                "parquet needs the package pyarrow: pip install 'paribus[parquet]', or write a .csv"
            ) from error
    return form


def columns_of(lines: Sequence[Line]) -> dict[str, type]:
    """The columns of all lines, each with the narrowest of bool, int, float and str that holds its values."""
    columns: dict[str, type] = {}
    for line in lines:
        for name, value in line.items():
            kind = type(value)
            if value is None or columns.get(name, kind) is kind:
                columns.setdefault(name, type(None) if value is None else kind)
            elif columns[name] is type(None):
                columns[name] = kind
            else:
                columns[name] = float if {columns[name], kind} == {int, float} else str
    return {name: str if kind is type(None) else kind for name, kind in columns.items()}


def write_lines(lines: Iterable[Line], columns: Mapping[str, type], path: Path) -> int:
    """Write the file as a whole, or leave the old one; the number of lines. Numbers keep all their digits.

    columns: what each holds; a line without a value leaves its field empty.

    Raises UserError where the file can't be written.
    """
    form = form_of(path)
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        count = (_write_csv if form == "csv" else _write_parquet)(lines, columns, temporary)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error}. Choose another file with -o") from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_csv(lines: Iterable[Line], columns: Mapping[str, type], path: Path) -> int:
    count = 0
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(spreadsheet, columns))
        for line in lines:
            writer.writerow(spreadsheet(_text(line.get(name))) for name in columns)
            count += 1
    return count


def _write_parquet(lines: Iterable[Line], columns: Mapping[str, type], path: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    kinds = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    count = 0
    iterator = iter(lines)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while part := list(islice(iterator, CHUNK)):  # a history of ten thousand runs does not fit into memory
            count += len(part)
            arrays = {name: [_cast(line.get(name), kind) for line in part] for name, kind in columns.items()}
            writer.write_table(pyarrow.table(arrays, schema=schema))
    return count


def _cast(value: Any, kind: type) -> Any:
    return None if value is None else _text(value) if kind is str else kind(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple):
        return str(value)
    return value

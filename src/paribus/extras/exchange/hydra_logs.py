"""Metrics that Lightning's CSV and TensorBoard loggers have left in the folder of a job."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

from paribus.extras.exchange.adopted import Row, merged
from paribus.store.names import read_bounded, read_yaml

LOG_BYTES = 256 << 20


class NoLogs(Exception):
    """A job has no metrics that can be read; the message says why."""


def read_logs(job: Path, notes: list[str]) -> tuple[list[Row], Path]:
    """One row for each step, and the file that they come from. `notes` gets what is odd.

    Raises NoLogs.
    """
    tables = sorted((p for p in job.rglob("metrics.csv") if _is_of(job, p) and p.stat().st_size), key=_version)
    if tables:
        if len(tables) > 1:
            notes.append(f"{len(tables)} metrics.csv; the newest is used: {tables[-1].relative_to(job)}")
        rows = read_csv(tables[-1], notes)
        if rows:
            return rows, tables[-1]
        notes.append(f"{tables[-1].relative_to(job)} has no rows")
    events = sorted(job.rglob("events.out.tfevents*"), key=_version)
    if events:
        return read_events(events[-1].parent), events[-1]
    raise NoLogs("no csv/version_*/metrics.csv with rows, and no TensorBoard events")


def read_csv(path: Path, notes: list[str]) -> list[Row]:
    """The rows of a metrics.csv of Lightning's; fields that are empty or no numbers are gaps. Raises NoLogs."""
    rows, odd = [], 0
    try:
        text = read_bounded(path, LOG_BYTES).decode(errors="replace")
        for line in csv.DictReader(io.StringIO(text, newline="")):
            row: Row = {}
            for key, field in line.items():
                if not isinstance(key, str) or not isinstance(field, str) or not field.strip():
                    odd += key is None  # more fields than columns
                    continue
                try:
                    row[key] = float(field)
                except ValueError:
                    odd += 1
            if row:
                rows.append(row)
    except (OSError, ValueError, csv.Error) as error:
        raise NoLogs(f"{path.name} can't be read: {error}") from error
    if odd:
        notes.append(f"{odd} fields of {path.name} are not numbers and were left out")
    return merged(rows)


def read_events(folder: Path) -> list[Row]:
    """The scalars of TensorBoard event files. Raises NoLogs where they can't be read."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ModuleNotFoundError as error:
        raise NoLogs("only TensorBoard events, which need the extra: pip install 'paribus[tensorboard]'") from error
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    try:
        events.Reload()
        tags = events.Tags()["scalars"]
    except Exception as error:  # damaged files raise whatever the parser met
        raise NoLogs(f"TensorBoard events that can't be read ({type(error).__name__}: {error})") from error
    found: dict[float, Row] = {}
    times = [event.wall_time for tag in tags for event in events.Scalars(tag)]
    for tag in tags:
        for event in events.Scalars(tag):
            row = found.setdefault(event.step, {"step": event.step, "seconds": 0.0})
            row["seconds"] = max(row["seconds"], event.wall_time - min(times))
            row[tag] = event.value
    if not found:
        raise NoLogs("TensorBoard events without scalars")
    return merged(found[step] for step in sorted(found))


def parameters(log: Path) -> int | None:
    """The number of trained parameters that the template writes beside its metrics."""
    try:
        content = read_yaml(log.parent / "hparams.yaml")
    except (OSError, ValueError):
        return None
    value = content.get("model/params/trainable") if isinstance(content, Mapping) else None
    return value if isinstance(value, int) and abs(value) < 2**63 else None


def seconds(job: Path) -> float | None:
    """The duration that the template writes into exec_time.log."""
    try:
        found = re.search(r"([\d.]+) ?\(?s\)?", _end(job / "exec_time.log"))
        return float(found.group(1)) if found else None
    except (OSError, ValueError):
        return None


def complaint(job: Path) -> str | None:
    """The last line of a traceback in the logs of a job."""
    for path in sorted(job.glob("*.log")):
        try:
            text = _end(path)
        except OSError:
            continue
        if "Traceback (most recent call last)" in text:
            lines = [line for line in text.split("Traceback (most recent call last)")[-1].splitlines() if line.strip()]
            named = (line.strip() for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line))
            return next(named, lines[-1] if lines else "a traceback without an error")
    return None


def _end(path: Path, size: int = 1 << 20) -> str:
    """The last megabyte of a log."""
    if not _is_of(path.parent, path):
        raise FileNotFoundError(path)
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read(size).decode(errors="replace")


def _is_of(job: Path, path: Path) -> bool:
    """Whether a file is one, and no link to somewhere else."""
    return path.is_file() and path.resolve().is_relative_to(job.resolve())


def _version(path: Path) -> tuple[int, float]:
    numbers = re.findall(r"version_(\d+)", str(path))
    return int(numbers[-1]) if numbers else -1, path.stat().st_mtime

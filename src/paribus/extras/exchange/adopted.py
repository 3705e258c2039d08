"""Runs that another tool has trained, as records: marked as imported, under ids that ours can't have."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from paribus.base.metrics import FIRST, Metrics
from paribus.store.history import HistoryWriter
from paribus.store.names import on_one_line
from paribus.store.record import Record
from paribus.store.store import Store

Row = dict[str, float]
_PLACES = ("epoch", "step", "seconds")


@dataclass
class Adopted:
    """A run to be imported. origin: what messages call it. sweep: the runs that were started together.

    settings: the configuration that the other program had, in its own keys.
    """

    record: Record
    origin: str
    sweep: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


@dataclass
class Adoption:
    """What was found, and what a person should know about it: one line for each thing that is not as it should be."""

    runs: list[Adopted] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def adopted_id(tool: str, *origin: str) -> str:
    """tool-HASH, the same for the same run. Our own ids are hexadecimal digits only, so that the two never meet."""
    return f"{tool}-{hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:12]}"


def write(store: Store, run: Adopted) -> None:
    """The record, history and configuration of an imported run; an earlier import of it is replaced."""
    folder = store.run_dir(run.record.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(run.settings), sort_keys=False, allow_unicode=True))
    (folder / "history.csv").unlink(missing_ok=True)
    history = HistoryWriter(folder / "history.csv")
    for row in run.rows:
        history.append(row)
    history.close()
    store.write(run.record)


def without_repeats(adoption: Adoption) -> Adoption:
    """Of several finished runs of one configuration and one seed only the newest: it would count twice in a mean."""
    newest: dict[str, Adopted] = {}
    kept = []
    for run in sorted(adoption.runs, key=lambda run: run.record.finished or run.record.created or "", reverse=True):
        record = run.record
        key = json.dumps([run.sweep, record.seed, record.choices], sort_keys=True, default=str)
        if record.seed is not None and record.status == "done" and newest.setdefault(key, run) is not run:
            adoption.notes.append(f"{run.origin}: same choices and seed as the newer {newest[key].origin}. Left out")
            continue
        kept.append(run)
    order = {id(run): number for number, run in enumerate(adoption.runs)}
    return Adoption(sorted(kept, key=lambda run: order[id(run)]), adoption.notes)


def merged(rows: Iterable[Mapping[str, float]]) -> list[Row]:
    """One row for each step: loggers write training and validation metrics of one step in rows of their own.

    A row without a step belongs to the step before it. Names ending in _epoch (Lightning's, beside NAME_step) lose the
    ending.
    """
    found: dict[float, Row] = {}
    step = epoch = 0.0
    for row in rows:
        step, epoch = row.get("step", step), row.get("epoch", epoch)
        into = found.setdefault(step, {"epoch": epoch, "step": step})
        names = {key: on_one_line(key.removesuffix("_epoch") if "/" in key else key) for key in row}
        into.update({names[key]: value for key, value in row.items() if names[key]})
    return [found[step] for step in sorted(found)]


def trained(rows: Sequence[Row]) -> list[Row]:
    """Without the row that holds test metrics only: Lightning gives it an epoch of its own, which was never trained."""
    return [row for row in rows if any(not key.startswith("test/") for key in row if key not in _PLACES)]


def last_values(rows: Sequence[Row], known: Metrics = FIRST) -> dict[str, float]:
    """The last value of every metric, and the best of those on validation that have a direction.

    known: what the program declares of its metrics.
    """
    metrics: dict[str, float] = {}
    bests: dict[str, float] = {}
    for row in rows:
        for key, value in row.items():
            if key in _PLACES:
                continue
            metrics[key] = value
            metric = known.of(key)  # without a direction, nothing says what its best is
            if metric.better and key.startswith("val/") and not key.endswith("_best") and math.isfinite(value):
                bests[f"{key}_best"] = metric.best((value, bests.get(f"{key}_best", value)))
    return {**bests, **metrics}


def diverged(metrics: Mapping[str, float]) -> bool:
    return any(key.startswith("train/loss") and not math.isfinite(value) for key, value in metrics.items())


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of all values of nested mappings; lists are values."""
    if isinstance(node, Mapping) and node:
        for key, item in node.items():
            yield from leaves(item, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, node


def plain(value: Any) -> Any:
    """A value that can be a level: a list is its text."""
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, default=str)
    if isinstance(value, int) and abs(value) >= 2**63:  # more than a record takes
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

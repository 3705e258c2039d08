"""Queries: the records to list, and their order."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.base.durations import seconds_since
from paribus.base.errors import UserError
from paribus.base.text import near
from paribus.store.record import Record
from paribus.store.store import Store


@dataclass(frozen=True)
class Run:
    """A record as it is listed. state: its status as of now. age: seconds since it was created."""

    record: Record
    state: str
    age: float

    def value(self, key: str) -> Any:
        """A field of the record, a metric, a time, or a choice; None where the record has no such thing."""
        if key in FIELDS:
            return self.state if key == "status" else self.age if key == "age" else getattr(self.record, key)
        for name in ("choices", "metrics", "timing"):  # a record of the index unpacks them when they are asked for
            if key in (known := getattr(self.record, name)):
                return known[key]
        return None


def run_of(record: Record, store: Store) -> Run:
    """The record as it is listed now."""
    age = seconds_since(record.created)
    return Run(record, store.state(record), math.inf if age is None else age)


def runs(store: Store, filters: Sequence[str] = (), *, newer: float = math.inf, older: float = 0.0) -> list[Run]:
    """The runs that fulfil all filters, the newest first.

    filters: KEY=VALUE; several values with commas, patterns with *. Keys are status, ablation, arm, seed, id, choices
    (norm, optimizer.lr), and else anything of the resolved configuration (data.validation).
    newer, older: bounds of the age in seconds.

    Raises UserError for a filter that no run could fulfil because there is no such key.
    """
    wanted: dict[str, list[str]] = {}
    for key, patterns in map(_parse, filters):
        if key in wanted:
            raise UserError(
                f"{key} is given twice. Write all its values once: {key}={','.join(wanted[key] + patterns)}"
            )
        wanted[key] = patterns
    every = [run_of(record, store) for record in store.scan()]
    listed = sorted((run for run in every if older <= run.age <= newer), key=lambda run: run.age)
    for key, patterns in wanted.items():
        values = {run.record.id: _value(run, key, store) for run in listed}
        if listed and all(value is _NOTHING for value in values.values()):
            raise _unknown(key, every)
        listed = [run for run in listed if any(_matches(values[run.record.id], pattern) for pattern in patterns)]
    return listed


def sort(listed: Iterable[Run], key: str, descending: bool = False) -> list[Run]:
    """By a field, metric, time or choice; runs without it come last.

    Raises UserError for a key that none of the runs has.
    """
    values = [(run, run.value(key)) for run in listed]
    having = [(run, value) for run, value in values if value is not None]
    if values and not having:
        raise _unknown(key, [run for run, _ in values])
    having.sort(key=lambda each: _order(each[1]), reverse=descending)
    return [run for run, _ in having] + [run for run, value in values if value is None]


FIELDS = ("status", "age", "id", "seed", "ablation", "arm", "parameters", "excluded")
_NOTHING = object()


def _parse(text: str) -> tuple[str, list[str]]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UserError(f"a filter is KEY=VALUE, as in norm=batch or status=done, got {text!r}")
    return key, value.split(",")


def _value(run: Run, key: str, store: Store) -> Any:
    value = run.value(key)
    if value is None and key not in FIELDS:
        node: Any = _config(run.record.id, store)
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return _NOTHING
            node = node[part]
        return node
    return value


def _config(id: str, store: Store) -> Mapping[str, Any]:
    try:
        return store.config(id)
    except UserError:  # a run without a readable configuration matches nothing
        return {}


def _matches(value: Any, pattern: str) -> bool:
    if value is _NOTHING:
        return False
    if isinstance(value, bool) or value is None:
        return pattern.lower() == {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        try:
            return float(pattern) == float(value)
        except ValueError:
            return False
    return fnmatch.fnmatchcase(str(value), pattern)


def _order(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return (0, math.inf if math.isnan(value) else value)
    return (1, str(value))


def _unknown(key: str, listed: Iterable[Run]) -> UserError:
    records = [run.record for run in listed]
    known = {*FIELDS, *(name for each in records for name in (*each.choices, *each.metrics, *each.timing))}
    return UserError(
        f"no run has a {key}.{near(key, known, 3)} "
        "Keys are status, ablation, arm, seed, choices such as norm, and metrics"
    )

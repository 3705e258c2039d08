"""The comparison of a run in W&B with its record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paribus.store.record import Record

History = Mapping[str, list[float]]  # the columns of history.csv
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}


@dataclass
class Difference:
    """What W&B lacks or has otherwise. Nothing of both: it agrees.

    rows: of the history, that are not there with all their values.
    summary: final numbers that are missing or differ.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.rows or self.summary)

    def __str__(self) -> str:
        said = [f"{len(self.rows)} row{'s'[: len(self.rows) > 1]} of the history"] if self.rows else []
        said += [", ".join(list(self.summary)[:3]) + (" ..." if len(self.summary) > 3 else "")] if self.summary else []
        return " and ".join(said) or "nothing"


def difference(
    record: Record, history: History, rows: Iterable[Mapping[str, Any]], summary: Mapping[str, Any]
) -> Difference:
    """Compare a record and its history with the rows and the summary that W&B gives back. Numbers are compared
    exactly: W&B keeps them as they were sent."""
    there: dict[float, dict[str, Any]] = {}
    for row in rows:
        if "step" in row:  # several rows of one step hold different metrics
            there.setdefault(number(row["step"]), {}).update(row)
    found = Difference()
    for row in rows_of(history):
        have = there.get(row["step"], {})
        if any(key not in have or not same(have[key], value) for key, value in row.items()):
            found.rows.append(row)
    for key, value in final(record).items():
        if key not in summary or not same(summary[key], value):
            found.summary[key] = value
    return found


def final(record: Record) -> dict[str, Any]:
    """The numbers of a record that W&B keeps as the result of the run."""
    numbers = {**record.metrics, **record.timing}
    numbers.pop("total_seconds", None)  # known only after W&B has ended
    if record.parameters is not None:
        numbers["parameters"] = record.parameters
    return {**numbers, "status": record.status}


def rows_of(history: History) -> list[dict[str, float]]:
    """The rows of a history, without their empty fields."""
    columns = list(history)
    rows = zip(*history.values(), strict=True)
    return [{k: v for k, v in zip(columns, row, strict=True) if not math.isnan(v)} for row in rows]


def number(value: Any) -> float:
    if isinstance(value, str):
        return _NOT_FINITE.get(value.lower(), math.nan)
    return float(value) if isinstance(value, int | float) else math.nan


def same(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, str):
        return bool(theirs == ours)
    a, b = number(theirs), number(ours)
    return a == b or (math.isnan(a) and math.isnan(b))

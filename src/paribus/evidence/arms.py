"""Arms of records that belong to no plan: made by what the records vary."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paribus.base.errors import UserError
from paribus.base.numbers import is_number
from paribus.base.typed import typed
from paribus.stats.spaces import Range
from paribus.store.record import Record

if TYPE_CHECKING:
    from paribus.ablation.cells import Plan

Arms = Mapping[str, Sequence[Record | None]]  # label -> records; None is a run without a record
ABSENT = "(default)"


class ReportError(UserError, ValueError):
    """A table or figure can't be made of these records."""


def how_to_train(plan: Plan | None) -> str:
    """The remedy where no run has finished: the command that trains the runs of the plan."""
    if plan is None or plan.ablation is None:
        return "Train its runs: paribus train"
    return f"Train it: paribus train -m {typed('ablation', plan.ablation.name)}"


def is_seed(key: str) -> bool:
    return key == "seed" or key.startswith("seeds.")


def level(record: Record, key: str) -> Any:
    """The record's value of a choice, such that equal meanings compare equal (0.1, "0.10", 1e-1)."""
    return _meaning(record.choices.get(key, ABSENT))


def _meaning(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)


def levels(records: Sequence[Record], key: str) -> set[Any]:
    """The records' values of a choice."""
    values = [record.choices.get(key, ABSENT) for record in records]
    try:  # of thousands of records alike, one is looked at; 1 and True are equal
        return {_meaning(value) for _, value in {(type(value), value) for value in values}}
    except TypeError:  # a list
        return set(map(_meaning, values))


def level_text(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def range_text(each: Range) -> str:
    """1e-04 to 1 (log), 8 to 64, or 16, 32."""
    values = [level_text(float(v) if is_number(v) and each.kind != "int" else v) for v in each.values]
    if each.kind == "choice":
        return ", ".join(values)
    return f"{' to '.join(values)}{' (log)' if each.kind == 'log' else ''}"


def varied(records: Sequence[Record]) -> list[str]:
    """The keys of `choices` in which records differ, but seeds, in the order of their first appearance."""
    counts = Counter(itertools.chain.from_iterable([record.choices for record in records]))
    alike = _alike(records)
    return [
        key for key, count in counts.items()
        if not is_seed(key) and not (count == len(records) and key in alike) and len(levels(records, key)) > 1
    ]  # fmt: skip


def _alike(records: Sequence[Record]) -> set[str]:
    """Keys of which all records that have them have the same word: most, and they need no further look."""
    try:
        pairs = set().union(*[record.choices.items() for record in records])
    except TypeError:  # a list
        return set()
    counts = Counter(key for key, _ in pairs)
    return {key for key, value in pairs if counts[key] == 1 and isinstance(value, str)}


def arms_by(
    records: Sequence[Record], by: Sequence[str] | None = None, mix: Sequence[str] = ()
) -> dict[str, list[Record | None]]:
    """Records by their values of the choices `by` (default: all that they vary).

    Arms come in the order of their values where these are numbers, else in that in which they were first
    trained. The label of an arm is its value, or key=value for each key where `by` has several.

    mix: choices in which the records of one arm may differ.

    Raises ReportError where the records of one arm differ in a choice that is not mixed, and for an unknown
    key.
    """
    if not records:
        return {}
    known = {key for record in records for key in record.choices}
    keys = varied(records) if not by else list(dict.fromkeys(by))
    for key in keys:
        if key not in known:
            raise ReportError(
                f"rows can only be choices of the records, got {key}. There are {', '.join(sorted(known))}"
            )
    groups: dict[tuple[Any, ...], list[Record | None]] = {}
    for record in sorted(records, key=lambda record: record.created or ""):
        groups.setdefault(tuple(level(record, key) for key in keys), []).append(record)
    arms = {}
    for values in _ordered(list(groups)):
        label = ", ".join(
            level_text(v) if len(keys) == 1 else f"{k}={level_text(v)}" for k, v in zip(keys, values, strict=True)
        )
        arms[label or "all runs"] = groups[values]
        _check_equal(label or "all runs", [r for r in groups[values] if r is not None], mix)
    return arms


def _ordered(groups: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    ranks: list[dict[Any, int]] = []
    for column in zip(*groups, strict=True):
        values = list(dict.fromkeys(column))
        if all(isinstance(value, float) for value in values):
            values.sort()
        ranks.append({value: rank for rank, value in enumerate(values)})
    return sorted(groups, key=lambda group: [rank[value] for rank, value in zip(ranks, group, strict=True)])


def _check_equal(label: str, records: Sequence[Record], mix: Sequence[str]) -> None:
    for key in varied(records):
        if key not in mix:
            values = ", ".join(dict.fromkeys(level_text(level(record, key)) for record in records))
            raise ReportError(
                f"a row holds runs that differ only in their seed, and those of {label!r} differ in {key}: "
                f"{values}. Add --by {key}, or --mix {key} to average over it"
            )

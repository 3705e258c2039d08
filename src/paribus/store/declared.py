"""Declarations of metrics that several records share: mixed records must not mean different things by one name."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from paribus.base.errors import UserError
from paribus.base.metrics import Key, Metric
from paribus.base.typed import typed
from paribus.store.record import Record


class Contradiction(UserError, ValueError):
    """Records declare one metric differently, so no number can be made of them together."""


def agreed(metric: str, records: Iterable[Record | None]) -> Key:
    """The key with what all records declare of it, and the configuration where `metric` has its declaration: the first
    that names a direction or, where none does, a unit.

    Records that declare nothing of it, or no direction, contradict nobody. The chance may differ: it belongs to a
    record's data. `how` contradicts where both say it.

    Raises Contradiction that names two runs, for other directions, units and computations.
    """
    said = [(metric.metric, "the configuration")] if isinstance(metric, Key) else []
    for record in unlike(records):
        if (own := record.declaration(metric)) is None or any(own is found for found, _ in said):
            continue
        for found, whose in said:
            _check(metric, found, whose, own, record)
        said.append((own, f"run {record.id}"))
    known = [each for each, _ in said]
    return Key(metric, max(known, key=lambda each: (each.better is not None, each.unit is not None), default=None))


def unlike(records: Iterable[Record | None]) -> list[Record]:
    """The first record of each different set of declarations: thousands of records declare one thing."""
    found: dict[Hashable, Record] = {}
    for record in records:
        if record is not None:
            found.setdefault(record.declares, record)
    return list(found.values())


def _check(metric: str, found: Metric, whose: str, own: Metric, record: Record) -> None:
    if own.unit != found.unit and (own.better or own.unit) and (found.better or found.unit):
        raise _contradiction(metric, "unit", found.unit, whose, own.unit, record)
    if own.better is not None and found.better is not None and own.better != found.better:
        raise _contradiction(metric, "better", found.better, whose, own.better, record)
    if own.how and found.how and own.how != found.how:
        raise Contradiction(
            f"{metric} must be computed alike in all that is compared, but it is {found.how} in {whose} and "
            f"{own.how} in run {record.id}. Give one of them a name of its own: "
            f"{typed(['metrics', f'{found.name}_2'], '{...}', '+')}"
        )


def _contradiction(metric: str, what: str, one: str | None, whose: str, other: str | None, record: Record) -> UserError:
    return Contradiction(
        f"{metric} must be declared alike by all that is compared, but {what} is {one or 'null'} in {whose} and "
        f"{other or 'null'} in run {record.id}. Correct the declaration, or leave out the runs of the other one"
    )


def main_metric(record: Record) -> str:
    """What a run is judged by first: its first declared metric, on the test set where that was measured."""
    name = next(iter(record.known), "loss")
    return next((key for key in (f"test/{name}", name) if key in record.metrics), f"test/{name}")

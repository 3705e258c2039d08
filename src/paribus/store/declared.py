"""Declarations of metrics that several records share: mixed records must not mean different things by one name."""

from __future__ import annotations

from collections.abc import Iterable

from paribus.base.errors import UserError
from paribus.base.metrics import Key
from paribus.store.record import Record


class Contradiction(UserError, ValueError):
    """Records declare one metric differently, so no number can be made of them together."""


def agreed(metric: str, records: Iterable[Record | None]) -> Key:
    """The key with what all records declare of it, and the configuration where `metric` has its declaration.

    Records that declare nothing of it, or no direction, contradict nobody. The chance may differ: it belongs to a
    record's data. `how` contradicts where both say it.

    Raises Contradiction that names two runs, for other directions, units and computations.
    """
    found = metric.metric if isinstance(metric, Key) else None
    whose = "the configuration"
    for record in records:
        if record is None or (own := record.declaration(metric)) is None:
            continue
        if own is found:  # most records declare alike
            continue
        if found is None or (found.better is None and found.unit is None):
            found, whose = own, f"run {record.id}"
        elif own.unit != found.unit and (own.better or own.unit) and (found.better or found.unit):
            raise _contradiction(metric, "unit", found.unit, whose, own.unit, record)
        elif own.better is not None and found.better is not None and own.better != found.better:
            raise _contradiction(metric, "better", found.better, whose, own.better, record)
        elif own.how and found.how and own.how != found.how:
            raise Contradiction(
                f"{metric} must be computed alike in all that is compared, but it is {found.how} in {whose} and "
                f"{own.how} in run {record.id}. Give one of them a name of its own: +metrics.{found.name}_2={{...}}"
            )
        elif found.better is None:
            found, whose = own, f"run {record.id}"
    return Key(metric, found)


def _contradiction(metric: str, what: str, one: str | None, whose: str, other: str | None, record: Record) -> UserError:
    return Contradiction(
        f"{metric} must be declared alike by all that is compared, but {what} is {one or 'null'} in {whose} and "
        f"{other or 'null'} in run {record.id}. Correct the declaration, or leave out the runs of the other one"
    )


def main_metric(record: Record) -> str:
    """What a run is judged by first: its first declared metric, on the test set where that was measured."""
    name = next(iter(record.known), "loss")
    return next((key for key in (f"test/{name}", name) if key in record.metrics), f"test/{name}")

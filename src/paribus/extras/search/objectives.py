"""The objectives of a search: what a trial is judged by, and which direction of it is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from paribus.base.errors import UserError
from paribus.base.metrics import Key, Metric, Metrics
from paribus.store.record import Record

# Of a record beside its metrics: less is better where somebody searches for less.
COSTS = ("parameters", "ms_per_update", "seconds_per_epoch", "fit_seconds", "total_seconds")


def objectives_of(names: Sequence[str] | None, optimized: str, known: Metrics) -> list[Key]:
    """The objectives that a configuration names, with the directions that are declared with the metrics.

    names: hydra.sweeper.objectives. optimized: optimized_metric, which is taken where that is null.

    Raises UserError for one that is not measured, that has no direction, or that is named twice.
    """
    where = "optimized_metric" if names is None else "hydra.sweeper.objectives"
    names = [optimized] if names is None else list(names)
    if not names or len({*names}) < len(names):
        raise UserError(f"hydra.sweeper.objectives names each objective once, got {names}")
    found = []
    for name in names:
        if name in COSTS:
            found.append(Key(name, Metric(name, "lower")))
        else:
            known.direction(where, name)
            found.append(known.key(name))
    return found


def value_of(records: Sequence[Record], objective: Key) -> float:
    """The mean over the runs of a trial; the worst value where one of them has none that is a number, since it has
    diverged.

    Raises UserError where a record lacks the objective.
    """
    values = [_value(record, objective) for record in records]
    if any(math.isnan(value) for value in values):
        return -math.inf if objective.metric.higher else math.inf
    return fmean(values)


def _value(record: Record, objective: Key) -> float:
    if objective == "parameters" and record.parameters is not None:
        return float(record.parameters)
    found = {**record.timing, **record.metrics}
    if objective not in found:
        raise UserError(f"{objective} is not in the record of {record.id}. It has {', '.join(found)}")
    return found[objective]

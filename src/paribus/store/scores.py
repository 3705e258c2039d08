"""The score of a run in a metric, also of one that diverged."""

from __future__ import annotations

import math

from paribus.base.metrics import Key, chance_of
from paribus.store.record import Record


def score(record: Record | None, metric: str) -> float:
    """The metric of a run; of a diverged one what guessing scores, or the worst if that is not known; nan for none, and
    for one that is excluded."""
    if record is None or not record.has_result or record.excluded is not None:
        return math.nan
    value = record.metrics.get(metric, record.timing.get(metric, math.nan))
    if record.status == "done" and (math.isfinite(value) or metric not in record.metrics):
        return value
    return chance(record, metric)


def chance(record: Record, metric: str) -> float:
    """What guessing scores; the worst if that is not known, nan if nothing is better or worse."""
    declared = record.declaration(metric) or (metric.metric if isinstance(metric, Key) else None)
    if declared is None or declared.better is None:
        return math.nan
    guess = chance_of(declared.chance, record.classes)
    return guess if guess is not None else -math.inf if declared.higher else math.inf


def waits(record: Record | None) -> bool:
    """Whether a run still has to come to its end."""
    return record is None or record.status == "running"

"""The score of a run in a metric, also of one that diverged."""

from __future__ import annotations

import math
import re

from paribus.base.metrics import Key, Metric, chance_of
from paribus.store.record import Record

FAR_OFF = 2.0  # times what guessing scores
_PARTS = re.compile(r" (\d+)/(\d+)/(\d+)$")  # at the end of the fingerprint of the data


def score(record: Record | None, metric: str) -> float:
    """The metric of a run; of a diverged one what guessing scores, or the worst if that is not known; nan for none, and
    for one that is excluded."""
    if record is None or not record.has_result or record.excluded is not None:
        return math.nan
    if diverged(record, metric):
        return chance(record, metric)
    return record.metrics.get(metric, record.timing.get(metric, math.nan))


def diverged(record: Record, metric: str) -> bool:
    """Whether a run came to its end without a number in the metric that could be averaged.

    Such a number is not finite; or it has no upper bound, is more than twice what guessing has, and so is the training
    loss. A loss of 1e13 would decide every mean, and a run that is a little worse than that has no number at all. A
    network that overfits, or recovers from a spike, is so bad in one of them only; one that learns nothing, in none.
    """
    if record.status == "diverged":
        return True
    value = record.metrics.get(metric)
    if record.status != "done" or value is None:
        return False
    return not math.isfinite(value) or (_far_off(record, metric) and _far_off(record, "train/loss"))


def _far_off(record: Record, metric: str) -> bool:
    """Whether a metric without an upper bound is far worse than guessing; False where guessing is not known."""
    declared = _declared(record, metric)
    if declared is None or not declared.falls:
        return False
    guess = chance_of(declared.chance, record.classes)
    return guess is not None and record.metrics.get(metric, -math.inf) > FAR_OFF * guess


def _declared(record: Record, metric: str) -> Metric | None:
    return record.declaration(metric) or (metric.metric if isinstance(metric, Key) else None)


def chance(record: Record, metric: str) -> float:
    """What guessing scores; the worst if that is not known, nan if nothing is better or worse."""
    declared = _declared(record, metric)
    if declared is None or declared.better is None:
        return math.nan
    guess = chance_of(declared.chance, record.classes)
    return guess if guess is not None else -math.inf if declared.higher else math.inf


def tuning_score(record: Record | None, metric: str) -> float | None:
    """The metric that is selected on; nan for a run that diverged or is excluded, None for one that is not finished."""
    if record is None or not record.has_result:
        return None
    lost = record.excluded or diverged(record, metric)
    return math.nan if lost else record.metrics.get(metric, math.nan)


def waits(record: Record | None) -> bool:
    """Whether a run still has to come to its end."""
    return record is None or record.status == "running"


def parts_of(record: Record) -> tuple[int, int, int] | None:
    """How many samples train, validate and test, of a run whose test part was drawn from all samples."""
    found = _PARTS.search(str(record.comparable.get("data")))
    return (int(found[1]), int(found[2]), int(found[3])) if found else None

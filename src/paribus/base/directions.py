"""Directions of metrics: the one place that says whether higher or lower is better.

Best checkpoints, early stopping, searches, tables, tests and figures all ask here, so none of them can disagree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from paribus.base.errors import UserError

Better = Literal["higher", "lower"]
# By the last part of a metric's name. What is not in the table is neither good nor bad.
BETTER: Mapping[str, Better] = {"acc": "higher", "loss": "lower", "ece": "lower"}


def kind(metric: str) -> str:
    """val/acc and test/acc_best are both of the kind acc."""
    return metric.rsplit("/", 1)[-1].removesuffix("_best")


def higher_is_better(metric: str) -> bool | None:
    """None for a metric that is neither good nor bad, or unknown."""
    better = BETTER.get(kind(metric))
    return None if better is None else better == "higher"


def direction(key: str, metric: object) -> bool:
    """Whether higher is better, of a metric that the config key `key` names.

    Raises UserError for a metric without a direction.
    """
    higher = higher_is_better(str(metric))
    if higher is None:
        known = ", ".join(f"val/{name} ({better})" for name, better in BETTER.items())
        raise UserError(f"{key} must be a metric of which one direction is better, such as {known}; got {metric!r}")
    return higher


def mode(metric: str) -> str:
    """max or min, as configurations of other tools call it."""
    return "max" if higher_is_better(metric) else "min"


def is_better(metric: str, value: float, than: float) -> bool:
    """Whether `value` improves on `than`. nan improves on nothing, and everything else improves on nan."""
    if math.isnan(value) or math.isnan(than):
        return math.isnan(than) and not math.isnan(value)
    return value > than if direction("metric", metric) else value < than


def best(metric: str, values: Iterable[float]) -> float:
    """The best of the values; nan only where there is no other."""
    found = math.nan
    for value in values:
        if is_better(metric, value, found):
            found = value
    return found

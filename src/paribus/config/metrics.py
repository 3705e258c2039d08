"""The names of what a run records, their units, and what guessing scores."""

from __future__ import annotations

import difflib
import math

from paribus.base.directions import higher_is_better, kind

__all__ = ["KNOWN", "TIMES", "chance", "higher_is_better", "is_percent", "nearest_metric"]

_SPLITS = {"train": ("loss", "acc"), "val": ("loss", "acc", "ece"), "test": ("loss", "acc", "ece")}
TIMES = ("ms_per_update", "seconds_per_epoch", "samples_per_second", "fit_seconds", "total_seconds", "steps", "epochs")
KNOWN = (
    *(f"{split}/{name}" for split, names in _SPLITS.items() for name in names),
    *(f"val/{name}_best" for name in _SPLITS["val"]),
    *TIMES,
)


def is_percent(metric: str) -> bool:
    """Whether it is recorded as a fraction and shown in percent."""
    return kind(metric) in ("acc", "ece")


def chance(metric: str, classes: int | None, loss: str | None = None) -> float | None:
    """What guessing scores: 1 / classes in accuracy, log(classes) in cross-entropy; None where it is not known.

    loss: the option of the config group, which says what kind of loss is recorded.
    """
    if classes is None or classes < 2:
        return None
    if kind(metric) == "acc":
        return 1 / classes
    return math.log(classes) if kind(metric) == "loss" and loss in ("cross_entropy", "label_smoothing") else None


def nearest_metric(name: str) -> str:
    """What to type instead of an unknown metric."""
    near = difflib.get_close_matches(name, KNOWN, n=2, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(KNOWN)}"

"""The names of what a run records, and which direction of each is good."""

from __future__ import annotations

import difflib
import math

_SPLITS = {"train": ("loss", "acc"), "val": ("loss", "acc", "ece"), "test": ("loss", "acc", "ece")}
TIMES = ("ms_per_update", "seconds_per_epoch", "samples_per_second", "fit_seconds", "total_seconds", "steps", "epochs")
KNOWN = (
    *(f"{split}/{name}" for split, names in _SPLITS.items() for name in names),
    *(f"val/{name}_best" for name in _SPLITS["val"]),
    *TIMES,
)
HIGHER_IS_BETTER = {"acc": True, "loss": False, "ece": False}


def higher_is_better(metric: str) -> bool | None:
    """None for what is neither good nor bad."""
    return HIGHER_IS_BETTER.get(metric.rsplit("/", 1)[-1].removesuffix("_best"))


def is_percent(metric: str) -> bool:
    """Whether it is recorded as a fraction and shown in percent."""
    return metric.rsplit("/", 1)[-1].removesuffix("_best") in ("acc", "ece")


def chance(metric: str, classes: int | None, loss: str | None = None) -> float | None:
    """What guessing scores: 1 / classes in accuracy, log(classes) in cross-entropy; None where it is not known.

    loss: the option of the config group, which says what kind of loss is recorded.
    """
    kind = metric.rsplit("/", 1)[-1].removesuffix("_best")
    if classes is None or classes < 2:
        return None
    if kind == "acc":
        return 1 / classes
    return math.log(classes) if kind == "loss" and loss in ("cross_entropy", "label_smoothing") else None


def nearest_metric(name: str) -> str:
    """What to type instead of an unknown metric."""
    near = difflib.get_close_matches(name, KNOWN, n=2, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(KNOWN)}"

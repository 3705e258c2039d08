"""Numbers as people read them: rounded to what their uncertainty leaves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from paribus.base.metrics import PERCENT, Key

NONE = "–"
MINUS = "−"
MOST_DECIMALS = 5

_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_WORDS = {"acc": "accuracy", "ece": "ECE", "mae": "MAE", "rmse": "RMSE", "r2": "R²", "f1": "F1", "auroc": "AUROC"}
_TITLES = {
    "ms_per_update": "ms / update",
    "seconds_per_epoch": "s / epoch",
    "samples_per_second": "samples / s",
    "fit_seconds": "fit (s)",
    "total_seconds": "total (s)",
    "parameters": "parameters",
}


def scale(metric: Key) -> float:
    """Accuracies are recorded as fractions and shown in percent."""
    return 100.0 if metric.metric.is_percent else 1.0


def possible(metric: Key, ends: Any) -> Any:
    """Ends of intervals, as recorded, as far as the metric goes: a share is drawn from 0 to 100 %, and no further."""
    return np.clip(ends, 0.0, 1.0) if metric.metric.is_percent else ends


def title(metric: Key) -> str:
    """test/acc is "test accuracy (%)"; what has another unit has that in brackets."""
    unit = metric.metric.unit
    return name(metric) + ("" if unit is None else " (%)" if unit == PERCENT else f" ({unit})")


def difference_unit(metric: Key) -> str:
    """The unit of a difference, to stand behind a number: points, where the values are shown in percent."""
    unit = metric.metric.unit
    return "" if unit is None else " points" if unit == PERCENT else f" {unit}"


def unit_behind(metric: Key) -> str:
    """That of a difference; of times, which have theirs in their names, too."""
    return difference_unit(metric) or {"ms_per_update": " ms", "fit_seconds": " s", "total_seconds": " s"}.get(
        metric, ""
    )


def amount(metric: Key, value: float) -> str:
    """An effect in the unit in which differences are shown."""
    return f"{value * scale(metric):.3g}{unit_behind(metric)}"


def name(metric: str) -> str:
    """test/acc is "test accuracy"."""
    split, _, last = metric.rpartition("/")
    if split not in _SPLITS:
        return _TITLES.get(metric, metric)
    word = last.removesuffix("_best")
    words = ["best"] if last != word else []
    return " ".join([*words, _SPLITS[split], _WORDS.get(word, word)])


def decimals(uncertainty: float) -> int:
    """Places after the point that show two digits of an uncertainty; 0.0996 has 2, for 0.10."""
    if not (math.isfinite(uncertainty) and uncertainty > 0):
        return 2
    return max(0, 1 - int(f"{uncertainty:.1e}".partition("e")[2]))


def with_spread(mean: float, spread: float) -> tuple[str, str]:
    """Mean and spread, rounded to two digits of the spread; without one, four digits of the mean."""
    if not math.isfinite(mean):
        return (NONE if math.isnan(mean) else text(mean, 0)), ""
    if math.isnan(spread):
        return short(mean), ""
    if spread == 0:
        return short(mean), "0"
    places = decimals(spread)
    if places > MOST_DECIMALS:
        exponent = math.floor(math.log10(max(abs(mean), spread)))
        digits = max(0, places + exponent)
        return scientific(mean, digits, exponent), scientific(spread, digits, exponent)
    return text(mean, places), text(spread, places)


def text(value: float, places: int, sign: bool = False) -> str:
    """With a true minus sign, and without one on what is rounded to zero."""
    shown = f"{value:{'+' if sign else ''}.{places}f}"
    if float(shown) == 0:
        shown = shown.lstrip("+-")
    return shown.replace("-", MINUS)


def scientific(value: float, digits: int, exponent: int) -> str:
    return f"{text(value / 10.0**exponent, digits)}e{exponent}".replace("-", MINUS)


def short(value: float) -> str:
    """Four digits; whole numbers as they are; nan and inf by their names."""
    if not math.isfinite(value):
        return str(float(value)).replace("-", MINUS)
    if value == round(value) and abs(value) < 1e9:
        return f"{value:,.0f}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def p_value(p: float) -> str:
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def ranges(numbers: list[int]) -> str:
    """0–2, 5 for [0, 1, 2, 5]."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{p[0]}–{p[-1]}" if len(p) > 2 else ", ".join(map(str, p)) for p in parts)

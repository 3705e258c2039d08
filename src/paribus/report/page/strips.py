"""Intervals in rows over one axis: differences from the baseline, the steps of a path, the shares of factors.

A strip is {"ticks", "rows", ...}; all its places are percent of the width of the axis, so the page needs no script to
draw it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from paribus.base.metrics import Key
from paribus.report.escape import plain
from paribus.report.numbers import MINUS, NONE, amount, decimals, difference_unit, scale, text, title
from paribus.report.page import words
from paribus.report.study import Study
from paribus.report.tables.factors import term_name
from paribus.report.tidy import Compared, comparisons, path_steps

Strip = dict[str, Any]
MOST = 6  # ticks, which a phone has room for
FAR = 1.0  # an interval ends in an arrow where it leaves the means by as much, measured by what they span
ALONE = 3.0  # a mean by which the axis would be so many times as long as without it lies beyond its end


def nice_ticks(low: float, high: float, most: int = MOST) -> tuple[list[float], int]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], and the decimals that all of them need; none
    where the ends are too far apart, or too near to each other, for numbers between them."""
    least = (high - low) / most
    if not math.isfinite(least) or least <= max(abs(low), abs(high)) * 1e-9:
        return [], 0
    size = 10.0 ** math.floor(math.log10(least))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= least * (1 - 1e-9))
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)], places


def tick_text(value: float, places: int, sign: bool = False) -> str:
    """0.25, 20k or 2e−5: the shortest of what people write."""
    if places > 4:
        mantissa, _, exponent = f"{value:{'+' if sign else ''}.2g}".partition("e")
        return (mantissa + (f"e{int(exponent)}" if exponent else "")).replace("-", MINUS)
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= max(1e4, 10.0**power):
            return f"{value / 10.0**power:{'+' if sign else ''}.12g}{letter}".replace("-", MINUS)
    return text(value, places, sign)


class Axis:
    """From the lowest to the highest of the values that have to be seen, with a margin; sign: ticks are differences."""

    def __init__(self, values: Sequence[float], sign: bool = False, margin: float = 0.04):
        low, high = min(values), max(values)
        space = margin * (high - low) or (abs(high) or 1.0) * margin
        self.low, self.high = low - space, high + space
        ticks, places = nice_ticks(self.low, self.high)
        self.ticks: list[dict[str, Any]] = [
            {"at": self.at(tick), "text": tick_text(tick, places, sign)} for tick in ticks
        ]

    def at(self, value: float) -> float:
        """The place of a value, in percent."""
        result: float = round(100 * (value - self.low) / (self.high - self.low), 2)
        return result

    def bar(self, low: float, high: float) -> dict[str, Any]:
        """An interval, as far as the axis goes; beyond: where it goes on. Nothing without ends."""
        if not math.isfinite(high - low):
            return {"low": None, "high": None, "beyond": ()}
        ends = (min(max(end, self.low), self.high) for end in (low, high))
        beyond = [side for side, cut in (("left", low < self.low), ("right", high > self.high)) if cut]
        return {**dict(zip(("low", "high"), map(self.at, ends), strict=True)), "beyond": beyond}

    def dot(self, value: float) -> float | None:
        """The place of a mean, None where the axis does not reach it."""
        return self.at(value) if self.low <= value <= self.high else None


def differences(study: Study, place: Callable[[str], str]) -> Strip | None:
    """The paired differences from the baseline; None where there are none.

    place: of an arm, where the page lists its runs. What would press all others together is cut.
    """
    compared = comparisons(study)
    if not compared:
        return None
    factor = scale(study.metric)
    smallest = study.smallest or 0.0
    axis = Axis([factor * v for v in (*_seen(compared), 0.0, -smallest, smallest)], sign=True)
    rows = [
        {
            "arm": plain(each.arm) or "(no name)",
            "place": place(each.arm),
            **axis.bar(factor * each.low, factor * each.high),
            "mean": axis.dot(factor * each.mean),
            "side": "open" if not _clear(each) else _side(each.mean, study.metric),
            "text": words.difference_text(study.metric, each.mean, each.low, each.high),
            "p": words.p_text(each.p_holm).removeprefix("= "),
            "n": each.n,
            "verdicts": [(plain(hypothesis), outcome) for hypothesis, outcome in each.verdicts],
        }
        for each in compared
    ]
    edges = [axis.at(-factor * smallest), axis.at(factor * smallest)] if smallest else []
    return {
        "ticks": axis.ticks,
        "label": f"difference in {title(study.metric)}".replace("(%)", f"({difference_unit(study.metric).strip()})"),
        "rows": rows,
        "zero": axis.at(0.0),
        "edges": edges,
        "smallest": amount(study.metric, smallest) if smallest else "",
        "cut": any(row["beyond"] for row in rows),
        "verdicts": any(row["verdicts"] for row in rows),
    }


def waterfall(study: Study, place: Callable[[str], str]) -> Strip | None:
    """The steps of a path: each from the mean of the step before to its own, with the interval of the paired gain."""
    steps = path_steps(study)
    if len(steps) < 2:
        return None
    factor = scale(study.metric)
    axis = Axis([factor * step.mean for step in steps], margin=0.12)
    widths = [factor * (step.high - step.low) / 2 for step in steps if step.high > step.low]
    places = min(5, max(map(decimals, widths), default=2))
    rows: list[dict[str, Any]] = []
    for before, step in itertools.zip_longest([None, *steps[:-1]], steps):
        assert step is not None, "there is one step more than there are steps before another"
        own = {"arm": plain(step.arm) or "(no name)", "place": place(step.arm), "mean": axis.at(factor * step.mean)}
        own["value"] = text(factor * step.mean, places)
        if before is None:
            rows.append({**own, "from": None, **axis.bar(math.nan, math.nan), "side": "open", "text": NONE})
            continue
        clear = math.isfinite(step.low) and not step.low <= 0 <= step.high
        ends = (factor * (before.mean + end) for end in (step.low, step.high))
        side = _side(step.gain, study.metric) if clear else "open"
        gained = words.difference_text(study.metric, step.gain, step.low, step.high)
        rows.append({**own, "from": axis.at(factor * before.mean), **axis.bar(*ends), "side": side, "text": gained})
    return {"ticks": axis.ticks, "label": title(study.metric), "rows": rows, "cut": any(r["beyond"] for r in rows)}


def importance(study: Study) -> Strip | None:
    """The share of each factor and interaction in the spread between the arms of a grid, with its interval."""
    grid = study.grid
    if isinstance(grid, str):
        return None
    shares = [each for each in grid.found.effects if math.isfinite(each.share)]
    if not shares:
        return None
    axis = Axis([0.0, 100.0], margin=0.02)
    rows = [
        {"term": plain(term_name(grid, each)), "mean": axis.at(100 * each.share)}
        | axis.bar(100 * each.low, 100 * each.high)
        for each in sorted(shares, key=lambda each: -each.share)
    ]
    return {"ticks": axis.ticks, "label": "share of the spread between arms (%)", "rows": rows, "zero": axis.at(0.0)}


def _seen(compared: Sequence[Compared]) -> list[float]:
    """What the axis has to reach: the means but a few that lie far from all others, and of the intervals as much as
    leaves the means apart."""
    means = sorted((each.mean for each in compared), key=abs)
    for _ in range(len(means) // 4):
        if _span(means) > ALONE * _span(means[:-1]) > 0:
            means.pop()
    low, high = min(0.0, *means), max(0.0, *means)
    inside = [each for each in compared if low <= each.mean <= high and math.isfinite(each.high - each.low)]
    reach = FAR * max(high - low, min((each.high - each.low for each in inside), default=0.0))
    return [*means, *(min(max(v, low - reach), high + reach) for each in inside for v in (each.low, each.high))]


def _span(means: Sequence[float]) -> float:
    return max(0.0, *means) - min(0.0, *means)


def _side(mean: float, metric: Key) -> str:
    return "up" if (mean > 0) != (metric.metric.better == "lower") else "down"


def _clear(each: Compared) -> bool:
    return math.isfinite(each.low) and not each.low <= 0 <= each.high

"""Arms compared by seed: paired differences, the seeds themselves, regimes side by side, the steps of a path."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.base.metrics import Key
from paribus.report.figures.axes import (
    across,
    as_it_stands,
    counted,
    few_powers,
    height,
    is_wide,
    name_ticks,
    shortened,
    wrapped,
)
from paribus.report.figures.axes import without_outliers as inliers
from paribus.report.figures.sheet import captioned, drawing
from paribus.report.figures.style import COLUMN, NORMAL, SMALL, TALLEST
from paribus.report.numbers import decimals, difference_unit, p_value, possible, scale, short, text, title
from paribus.report.numbers import name as name_of
from paribus.report.tidy import Compared, Step
from paribus.stats.intervals import Mean

SOFT = "#8a8a8a"  # lines of reference
GAIN, LOSS, BASE = "#0072B2", "#D55E00", "#000000"
NAMES = 0.3  # of the width, at most, for the names of arms
WORDS = 1.1  # inches, for the numbers beside a forest in a column


def forest(
    name: str,
    compared: Sequence[Compared],
    metric: Key,
    baseline: str,
    smallest: float | None = None,
    level: float = 0.95,
    width: float = COLUMN,
) -> Figure:
    """A row for each arm: its paired difference from the baseline, the t interval, and the verdict in words.

    A solid line stands at 0, dashed ones at the smallest effect of interest, on both sides: an interval between
    them says that the arms are as good as equal. An interval that crosses 0 has an open marker. The few intervals that
    would more than double the axis end in an arrow at its edge; their numbers stand beside them.

    smallest: in the unit of the metric; no lines without it.
    """
    factor = scale(metric)
    left = _room([each.arm for each in compared], width)
    words, beside, row = _beside(compared, factor, left, width)
    ends = [end * factor for each in compared for end in (each.low, each.mean, each.high) if math.isfinite(end)]
    reach = [*inliers(ends), 0.0, *(side * smallest * factor for side in (-1, 1) if smallest is not None)]
    margin = 0.06 * (max(reach) - min(reach) or 1.0)
    low, high = min(reach) - margin, max(reach) + margin
    unit = f" ({of.strip()})" if (of := difference_unit(metric)) else ""
    axis = wrapped(f"{name_of(metric)}: difference from", width - 0.2, NORMAL)
    axis = f"{axis}\n{wrapped(shortened(baseline) + unit, width - 0.2, NORMAL)}"
    clipped = False
    with drawing(width, row * len(compared) + 0.4 + height(axis, NORMAL)) as sheet:
        figure = sheet.figure
        panel = figure.subplots()
        panel.axvline(0, color="#000000", linewidth=0.9, zorder=2)
        if smallest is not None:
            for side in (-smallest, smallest):
                panel.axvline(side * factor, color=SOFT, linewidth=0.9, linestyle=(0, (4, 2)), zorder=2)
        for at, each in enumerate(compared):
            crosses = each.low <= 0 <= each.high
            colour = BASE if crosses else GAIN if (each.mean > 0) != (metric.metric.better == "lower") else LOSS
            if math.isfinite(each.low):
                own = [min(max(end * factor, low), high) for end in (each.low, each.high)]
                panel.plot(own, [at, at], color=colour, linewidth=1.3, zorder=3)
                for end, edge, arrow in ((each.low, low, "<"), (each.high, high, ">")):
                    if (end * factor < low) if arrow == "<" else (end * factor > high):
                        clipped = True
                        panel.plot([edge], [at], arrow, color=colour, ms=4.5, clip_on=False, zorder=4)
            if low <= each.mean * factor <= high:
                face = "white" if crosses else colour
                panel.plot(
                    [each.mean * factor], [at], "o", color=colour, mfc=face, mec=colour, mew=1.1, ms=4.5, zorder=4
                )
        panel.set_xlim(low, high)
        _rows(panel, [each.arm for each in compared], left)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        as_it_stands(figure.supxlabel("", fontsize=NORMAL), axis)
        if any(words):
            _right(panel, words)
    n = counted([each.n for each in compared])
    said = [f"paired differences from {baseline} with their {100 * level:g} % t intervals, n = {n} shared seeds"]
    if beside:
        said.append("p after Holm")
    said.append("open markers: the interval holds 0; blue is better, orange is worse")
    if any(hypothesis == "" for each in compared for hypothesis, _ in each.verdicts):
        said.append(f"the ablation has no hypotheses; the verdicts answer “better than {baseline}?”")
    if smallest is not None:
        places = decimals(smallest * factor)
        said.append(f"dashed: the smallest effect of interest, ±{text(smallest * factor, min(places, 3))}{unit}")
    if clipped:
        said.append("arrows: intervals that leave the axis; their ends stand beside them")
    return captioned(figure, f"{name}: {name_of(metric)}", *said)


def _beside(compared: Sequence[Compared], factor: float, left: float, width: float) -> tuple[list[str], bool, float]:
    """What stands beside each row, whether p and verdicts are there, and inches of a row: all in one line where there
    is room, in several in a column, and the numbers alone where rows would not fit a page."""
    numbers = [_numbers(each, factor) for each in compared]
    judged = [_judged(each) for each in compared]
    whole = ["  ".join(filter(None, both)) for both in zip(numbers, judged, strict=True)]
    names = [height(wrapped(each.arm, left)) for each in compared]
    if max(map(across, whole)) <= width - left - 1.6:
        return whole, any(judged), max(0.19, max(names) + 0.05)
    stacked = [f"{each}\n{wrapped(said, WORDS)}" if said else each for each, said in zip(numbers, judged, strict=True)]
    row = max(0.19, max(map(height, stacked)) + 0.05, max(names) + 0.05)
    if row * len(compared) <= TALLEST - 0.8:
        return stacked, any(judged), row
    return numbers, False, max(0.19, max(names) + 0.05)


def _numbers(each: Compared, factor: float) -> str:
    places = min(5, decimals((each.high - each.low) / 2 * factor))
    mean, low, high = (text(value * factor, places, sign=True) for value in (each.mean, each.low, each.high))
    return f"{mean} ({low} to {high})" if math.isfinite(each.low) else mean


def _judged(each: Compared) -> str:
    p = "" if math.isnan(each.p_holm) else f"p {p_value(each.p_holm)}"
    verdicts = ", ".join(f"{hypothesis} {outcome}".strip() for hypothesis, outcome in each.verdicts)
    return "  ".join(filter(None, (p, verdicts)))


def _rows(panel: Axes, arms: Sequence[str], left: float) -> None:
    """Arms below each other, the first above."""
    name_ticks(panel, arms, room=left)
    panel.set_ylim(len(arms) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)


def _right(panel: Axes, words: Sequence[str]) -> None:
    beside = panel.secondary_yaxis("right")
    beside.set_yticks(range(len(words)), words, parse_math=False)
    beside.tick_params(length=0)
    beside.spines["right"].set_visible(False)
    for label in beside.get_yticklabels():
        label.set_linespacing(1.15)


def _room(arms: Sequence[str], width: float) -> float:
    """Inches for the names of arms, beside the panel."""
    return min(NAMES * width, max((across(shortened(arm)) for arm in arms), default=0.5))


def _row(arms: Sequence[str], left: float, least: float = 0.2) -> float:
    """Inches of a row, so that names of several lines don't touch."""
    return max(least, max((height(wrapped(arm, left)) + 0.05 for arm in arms), default=0.0))


def seed_dots(name: str, values: Mapping[str, Mapping[Hashable, float]], metric: Key, width: float = COLUMN) -> Figure:
    """Every run as a dot in the row of its arm; a line joins the runs of one seed, a bar marks the arm's mean.

    Parallel lines say that what differs between runs is the seed, and not the arm. What falls by decades, such as a
    loss, stands on a logarithmic axis. The few runs that would more than
    double the axis are arrows at its edge, with their values.

    values: arm -> seed -> value, as recorded.
    """
    factor = scale(metric)
    arms = list(values)
    seeds = sorted({seed for of in values.values() for seed in of}, key=str)
    drawn = [factor * value for of in values.values() for value in of.values() if math.isfinite(value)]
    log = is_wide(metric, drawn)
    means = [factor * float(np.mean(list(of.values()))) for of in values.values() if of]
    kept = sorted(drawn if log else [*inliers(drawn), *means])
    margin = 0.05 * (kept[-1] - kept[0]) or 0.05 * abs(kept[0]) or 1.0
    stretch = (kept[-1] / kept[0]) ** 0.05 if log else 1.0
    low, high = (kept[0] / stretch, kept[-1] * stretch) if log else (kept[0] - margin, kept[-1] + margin)
    left = _room(arms, width)
    beyond = 0
    with drawing(width, 0.5 + _row(arms, left) * len(arms)) as sheet:
        panel = sheet.figure.subplots()
        for seed in seeds:
            across_arms = [factor * values[arm].get(seed, math.nan) for arm in arms]
            panel.plot(
                across_arms, range(len(arms)), color=SOFT, linewidth=0.5, alpha=min(0.6, 12 / len(seeds)), zorder=2
            )
        for number, arm in enumerate(arms):
            own = [factor * value for value in values[arm].values()]
            colour = GAIN if number else BASE
            inside = [value for value in own if low <= value <= high]
            dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": colour, "ms": 3.6, "zorder": 3}
            panel.plot(inside, [number] * len(inside), **dot, alpha=min(1.0, max(0.35, 20 / len(seeds))))
            beyond += _arrows(panel, number, own, (low, high), colour)
            if own and low <= float(np.mean(own)) <= high:
                panel.plot([np.mean(own)] * 2, [number - 0.32, number + 0.32], color=colour, lw=1.6, zorder=4)
        if log:
            panel.set_xscale("log")
            few_powers(panel, 6)
        panel.set_xlim(low, high)
        _rows(panel, arms, left)
        panel.set_xlabel(title(metric))
    n = counted([len(of) for of in values.values() if of])
    return captioned(
        sheet.figure,
        f"{name}: {name_of(metric)} of every run (dots), n = {n} per arm",
        f"lines join the {len(seeds)} seeds, bars are means over seeds",
        f"arrows: {beyond} runs lie beyond the axis, at the values beside them" if beyond else "",
    )


def _arrows(panel: Axes, row: int, own: Sequence[float], limits: tuple[float, float], colour: str) -> int:
    """An arrow at each edge that values of a row lie beyond, with these values. How many there are."""
    low, high = limits
    found = 0
    for beyond, edge, arrow, side in (
        ([value for value in own if value < low], low, "<", 1),
        ([value for value in own if value > high], high, ">", -1),
    ):
        if beyond:
            found += len(beyond)
            ends = [short(float(f"{value:.3g}")) for value in (min(beyond), max(beyond))]
            said = ends[0] if len(beyond) == 1 else f"{len(beyond)}: {ends[0]} to {ends[1]}"
            panel.plot([edge], [row], arrow, color=colour, ms=4.5, clip_on=False, zorder=5)
            panel.annotate(
                said, (edge, row), (5 * side, 0), textcoords="offset points", va="center",
                ha="left" if side > 0 else "right", fontsize=SMALL,
            )  # fmt: skip
    return found


def regimes(
    name: str, means: Mapping[str, Mapping[str, Mean]], metric: Key, level: float = 0.95, width: float = COLUMN
) -> Figure:
    """A panel for each regime with the mean and t interval of every arm.

    All panels span the same range, so lengths compare, each about its own middle: regimes may differ in the task. What
    falls towards zero by decades, such as a loss, stands on logarithmic axes that span the same ratio. A rule of thumb
    that holds only in one regime shows as an order of the arms that changes from panel to panel.

    means: regime -> arm -> mean, as recorded.
    """
    factor = scale(metric)
    means = {regime: {arm: _drawn(metric, mean) for arm, mean in of.items()} for regime, of in means.items()}
    arms = list(dict.fromkeys(arm for of in means.values() for arm in of))
    left = _room(arms, width)
    columns = max(1, min(len(means), int((width - left - 0.1) // 0.55)))
    rows = math.ceil(len(means) / columns)
    heads = [wrapped(regime, (width - left - 0.1) / columns - 0.1, NORMAL) for regime in means]
    high = _row(arms, left) * len(arms) + max(height(head, NORMAL) for head in heads) + 0.3
    with drawing(width, rows * high + 0.25) as sheet:
        figure = sheet.figure
        grid = figure.subplots(rows, columns, squeeze=False)
        panels = list(grid.flat)
        log = is_wide(metric, (mean.mean for of in means.values() for mean in of.values()))
        ends = [_reach(of.values(), factor, log) for of in means.values()]
        # Where all are equal, wide enough for the axis to have two ends that differ in floating point.
        largest = max((abs(end) for both in ends for end in both), default=0.0)
        half = max(0.54 * max((high - low for low, high in ends), default=0.0), 1e-9 * largest) or 0.5
        for panel, (low, top) in zip(panels, ends, strict=False):
            limits = _within(metric, (low + top) / 2, half)
            if log:
                panel.set_xscale("log")
            panel.set_xlim(*(math.exp(limit) for limit in limits) if log else limits)
        for k, (panel, of) in enumerate(zip(panels, means.values(), strict=False)):
            for number, arm in enumerate(arms):
                if arm not in of or not math.isfinite(of[arm].mean):
                    continue
                mean, colour = of[arm], GAIN if number else BASE
                if math.isfinite(mean.low):
                    low = max(mean.low * factor, panel.get_xlim()[0]) if log else mean.low * factor
                    panel.plot([low, mean.high * factor], [number] * 2, color=colour, lw=1.2)
                panel.plot([mean.mean * factor], [number], marker="o" if number else "s", color=colour, ms=4.2)
            as_it_stands(panel.title, heads[k])
            panel.title.set_linespacing(1.15)
            _rows(panel, arms, left)
            panel.tick_params(axis="y", labelleft=k % columns == 0)
            few_powers(panel) if log else panel.xaxis.set_major_locator(MaxNLocator(3))
        for panel in panels[len(means) :]:
            panel.remove()
        figure.supxlabel(title(metric), fontsize=NORMAL)
    n = counted([mean.n for of in means.values() for mean in of.values() if mean.n])
    return captioned(
        figure,
        f"{name}: mean {name_of(metric)} and its {100 * level:g} % t interval in each regime, n = {n} runs",
        "all panels span the same ratio; intervals that reach the left edge go on to zero"
        if log
        else "all panels span the same range",
    )


def _within(metric: Key, middle: float, half: float) -> tuple[float, float]:
    """An axis of 2 half, moved to where the metric goes."""
    low, high = middle - half, middle + half
    if metric.metric.is_percent and 2 * half <= 104:
        over = max(0.0, high - 102) or min(0.0, low + 2)
        return low - over, high - over
    return low, high


def _drawn(metric: Key, mean: Mean) -> Mean:
    return replace(mean, low=float(possible(metric, mean.low)), high=float(possible(metric, mean.high)))


def _reach(means: Iterable[Mean], factor: float, log: bool) -> tuple[float, float]:
    """From the lowest to the highest end of an interval, or mean where there is none; of logarithms, and of those ends
    that have one, if log."""
    ends = [end * factor for mean in means for end in (mean.low, mean.mean, mean.high) if math.isfinite(end)]
    ends = [math.log(end) for end in ends if end > 0] if log else ends
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def waterfall(name: str, steps: Sequence[Step], metric: Key, level: float = 0.95, width: float = COLUMN) -> Figure:
    """The greedy path: a bar from each step to the next, as long as the gain, a whisker its paired t interval."""
    factor = scale(metric)
    arms = [step.arm for step in steps]
    left = _room(arms, width)
    words = [short(float(f"{steps[0].mean * factor:.4g}"))]
    with drawing(width, 0.5 + _row(arms, left, 0.24) * len(steps)) as sheet:
        panel = sheet.figure.subplots()
        before = steps[0].mean * factor
        panel.plot([before] * 2, [-0.35, 0.35], color=BASE, linewidth=2)
        reach = [before]
        for row, step in enumerate(steps[1:], start=1):
            here = before + step.gain * factor
            up = here == before or (here > before) != (metric.metric.better == "lower")
            bar: dict[str, Any] = {"color": GAIN if up else LOSS, "hatch": "" if up else "////", "ec": "white"}
            panel.barh(row, here - before, 0.62, before, **bar)
            panel.plot([before] * 2, [row - 1 + 0.35, row + 0.31], color=SOFT, linewidth=0.8)
            low, high = (factor * float(possible(metric, before / factor + end)) for end in (step.low, step.high))
            panel.plot([low, high], [row] * 2, color=BASE, linewidth=1.0, marker="|", ms=5, mec="auto", mew=1.0)
            words.append(text(step.gain * factor, min(3, decimals((step.high - step.low) / 2 * factor)), sign=True))
            reach += [here, *(value for value in (low, high) if math.isfinite(value))]
            before = here
        low, high = min(reach), max(reach)
        margin = (high - low or 1.0) * 0.06
        panel.set_xlim(low - margin, high + margin)
        _rows(panel, arms, left)
        _right(panel, words)
        panel.set_xlabel(title(metric))
    return captioned(
        sheet.figure,
        f"{name}: {name_of(metric)} of {arms[0]}, and the gain of each further step of the path over shared seeds",
        f"whisker: the {100 * level:g} % t interval of the gain"
        + (", as far as the metric goes" if metric.metric.is_percent else ""),
        "hatched: a loss" if any(step.gain < 0 for step in steps[1:]) and metric.metric.better != "lower" else "",
    )

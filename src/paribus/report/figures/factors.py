"""Factors of an ablation: a heat map of two, lines that are parallel where two do not interact, lines over numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paribus.base.metrics import Key
from paribus.report.figures.axes import across as inches
from paribus.report.figures.axes import (
    as_it_stands,
    counted,
    few_powers,
    height,
    is_wide,
    log_ticks,
    name_ticks,
    room,
    shortened,
    tick,
    wrapped,
)
from paribus.report.figures.learning import BANDED
from paribus.report.figures.sheet import captioned, drawing, lines
from paribus.report.figures.style import COLUMN, SMALL
from paribus.report.numbers import decimals, p_value, possible, scale, text, title
from paribus.report.numbers import name as name_of
from paribus.report.tidy import Crossed, factor_name, factor_words
from paribus.stats.intervals import Mean

COLOURS = "cividis"  # legible to colour-blind eyes and in grey print
LEAST = 0.16  # inches, of a cell


def heat_map(name: str, crossed: Crossed, metric: Key, width: float = COLUMN) -> Figure:
    """The mean over seeds at each combination of two levels, as a colour and a number; a dash where there is no arm.
    Colours are logarithmic for what falls by decades, such as a loss.

    Numbers lose decimals where cells are narrow, and are left out where not even whole ones fit.
    """
    factor = scale(metric)
    (row_name, rows), (column_name, columns) = crossed.rows, crossed.columns
    values = np.full((len(rows), len(columns)), np.nan)
    for place, mean in crossed.means.items():
        values[place] = factor * mean.mean
    spread = [factor * mean.sd for mean in crossed.means.values() if math.isfinite(mean.sd)]
    log = is_wide(metric, values.flat)
    places = 1 if log else min(4, decimals(float(np.median(spread)))) if spread else 2
    left = min(0.3 * width, max(inches(shortened(row)) for row in rows))
    cell = (width - left - 0.45) / len(columns)
    named = [wrapped(row, left) for row in rows]
    turned = max(inches(shortened(column)) for column in columns) > cell - 0.04
    under = max(inches(shortened(column)) for column in columns) if turned else 0.15

    def written(value: float, places: int) -> str:
        return tick(float(f"{value:.{places}e}")) if log else text(value, places)

    widest = [max(inches(written(float(v), p)) for v in values.flat if math.isfinite(v)) for p in range(places + 1)]
    fitting = [p for p, needed in enumerate(widest) if needed <= cell - 0.05]
    down = sum(max(height(row) + 0.06, 0.22) for row in named)
    with drawing(width, down + under + 0.95) as sheet:
        figure = sheet.figure
        panel = figure.subplots()
        image = panel.imshow(values, cmap=COLOURS, aspect="auto", norm="log" if log else "linear")
        ends = np.nanmin(values), np.nanmax(values)
        middle = math.sqrt(ends[0] * ends[1]) if log else (ends[0] + ends[1]) / 2
        for row, column in np.ndindex(values.shape):
            value = float(values[row, column])
            said = (written(value, fitting[-1]) if fitting else "") if math.isfinite(value) else "–"
            colour = "white" if value < middle else "black"
            panel.text(column, row, said, ha="center", va="center", fontsize=SMALL, color=colour)
        name_ticks(panel, rows, room=left)
        name_ticks(panel, columns, "x", cell - 0.04)
        panel.grid(visible=False)
        as_it_stands(panel.xaxis.label, shortened(factor_name(column_name)))
        as_it_stands(panel.yaxis.label, shortened(factor_name(row_name)))
        bar = figure.colorbar(image, ax=panel, location="top", aspect=40, pad=0.02)
        if log:
            few_powers(bar.ax, 6)
        as_it_stands(bar.ax.xaxis.label, title(metric))
    crossing = f"{name_of(metric)} at each {factor_name(row_name)} and {factor_name(column_name)}"
    return captioned(figure, f"{name}: {crossing}, mean over n = {crossed.n} seeds", *_said(crossed))


def interaction(name: str, crossed: Crossed, metric: Key, level: float = 0.95, width: float = COLUMN) -> Figure:
    """The mean over the levels of one factor, a line for each level of the other, with t intervals over seeds.

    Parallel lines say that the factors do not interact. The factor with more levels lies across. Intervals of two lines
    say less about their difference than its test does, since the lines share their seeds. Fewer than `BANDED` seeds are
    dots instead of an interval.
    """
    across_name, across = crossed.across
    arms = [factor_words(crossed.lines[0], line) for line in crossed.lines[1]]
    drawn: list[float] = []
    cell = 0.55 * width / len(across)
    longest = max(inches(shortened(level)) for level in across)

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> tuple[float, float] | None:
        means = [crossed.at(number, k) for k in range(len(across))]
        shift = (number - (len(arms) - 1) / 2) * min(0.06, 0.5 / len(arms))
        at = [k + shift for k in range(len(across))]
        seeds = [crossed.seeds(number, k) for k in range(len(across))]
        return _means(panel, at, means, seeds, metric, style, full, drawn)

    def dress(panel: Axes, _: None) -> None:
        room(panel, drawn)
        name_ticks(panel, across, "x", cell)
        panel.set_xlim(-0.5, len(across) - 0.5)
        panel.grid(axis="x", visible=False)
        as_it_stands(panel.xaxis.label, shortened(factor_name(across_name)))
        panel.set_ylabel(title(metric))

    figure, _, said = lines(width, arms, [None], draw, dress, below=longest if longest > cell else 0.0)
    p = p_value(crossed.p)
    test = f"lines are parallel where factors do not interact (p {p if p.startswith('<') else f'= {p}'}, Holm)"
    what = f"{name}: {name_of(metric)} over {factor_name(across_name)}, a line for each {factor_name(crossed.lines[0])}"
    return captioned(
        figure,
        what,
        said,
        _spread(f"mean over n = {crossed.n} seeds", [crossed.n], level),
        test if math.isfinite(crossed.p) else "",
        *_said(crossed),
    )


def over_numbers(
    name: str,
    key: str,
    means: Mapping[str, Mapping[float, Mean]],
    seeds: Mapping[str, Mapping[float, Sequence[float]]],
    metric: Key,
    level: float = 0.95,
    width: float = COLUMN,
) -> Figure:
    """The mean over the levels of a factor that are numbers, where they lie: a line for each setting of the others.

    Numbers that span more than a factor of ten stand on a logarithmic axis. Intervals are t intervals over seeds; fewer
    than `BANDED` seeds are dots.

    means, seeds: line -> level -> mean, and the values that it is of, as recorded.
    """
    arms, levels = list(means), sorted({level for of in means.values() for level in of})
    log = levels[0] > 0 and levels[-1] > 10 * levels[0]
    drawn: list[float] = []

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> tuple[float, float] | None:
        of = means[arms[number]]
        at = sorted(of)
        own = [seeds[arms[number]].get(x, ()) for x in at]
        return _means(panel, at, [of[x] for x in at], own, metric, style, full, drawn)

    def dress(panel: Axes, _: None) -> None:
        room(panel, drawn)
        if log:
            log_ticks(panel, "x", levels)
        as_it_stands(panel.xaxis.label, shortened(factor_name(key)))
        panel.set_ylabel(title(metric))

    figure, _, said = lines(width, arms, [None], draw, dress)
    counts = [mean.n for of in means.values() for mean in of.values() if mean.n]
    what = f"{name}: {name_of(metric)} over {factor_name(key)}"
    return captioned(figure, what, said, _spread(f"mean over n = {counted(counts)} runs", counts, level))


def _means(
    panel: Axes,
    at: Sequence[float],
    means: Sequence[Mean],
    seeds: Sequence[Sequence[float]],
    metric: Key,
    style: dict[str, Any],
    full: bool,
    drawn: list[float],
) -> tuple[float, float] | None:
    """A line over means, with an interval at each, or with the seeds where they are few."""
    factor = scale(metric)
    panel.plot(at, [factor * mean.mean for mean in means], **{"zorder": 3, **style})
    ends: list[tuple[float, float]] = []
    for x, mean, own in zip(at, means, seeds, strict=True):
        if math.isfinite(mean.mean):
            drawn.append(factor * mean.mean)
            ends.append((x, factor * mean.mean))
        if not full:
            continue
        if own and mean.n < BANDED:
            panel.plot([x] * len(own), [factor * value for value in own], ".", color=style["color"], ms=3, alpha=0.6)
            drawn += [factor * value for value in own if math.isfinite(value)]
        else:
            reach = [factor * float(possible(metric, end)) for end in (mean.low, mean.high)]
            panel.plot([x, x], reach, color=style["color"], linewidth=0.9, zorder=2)
            drawn += [end for end in reach if math.isfinite(end)]
    return ends[-1] if ends else None


def _spread(what: str, counts: Sequence[int], level: float) -> str:
    bars = [f"bars: {100 * level:g} % t interval"] if max(counts, default=0) >= BANDED else []
    dots = ["dots: the runs themselves"] if any(1 < n < BANDED for n in counts) else []
    return "; ".join([what, *bars, *dots])


def _said(crossed: Crossed) -> list[str]:
    others = ", ".join(shortened(factor_name(each)) for each in crossed.averaged)
    return [f"averaged over {others}"] if others else []

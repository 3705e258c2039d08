"""Two factors of a grid: a heat map of their means, and lines that are parallel where they do not interact."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from paribus.base.metrics import Key
from paribus.report.figures.axes import as_it_stands, heading, legend, letters, name_ticks, room, shortened, size
from paribus.report.figures.style import RC, look
from paribus.report.numbers import decimals, p_value, possible, scale, text, title
from paribus.report.tidy import Crossed

COLOURS = "cividis"  # legible to colour-blind eyes and in grey print


def heat_map(name: str, crossed: Crossed, metric: Key) -> Figure:
    """The mean over seeds at each combination of two levels, as a colour and a number; a dash where there is no arm."""
    factor = scale(metric)
    (row_name, rows), (column_name, columns) = crossed.rows, crossed.columns
    values = np.full((len(rows), len(columns)), np.nan)
    for place, mean in crossed.means.items():
        values[place] = factor * mean.mean
    spread = [factor * mean.sd for mean in crossed.means.values() if math.isfinite(mean.sd)]
    places = min(4, decimals(float(np.median(spread)))) if spread else 2
    with rc_context(RC):
        across = 1.6 + letters(rows) + 0.65 * len(columns)
        down = 1.5 + min(0.55 * letters(columns), 2.0) + 0.28 * len(rows)
        figure = Figure(figsize=(max(3.8, across), down), layout="constrained")
        panel = figure.subplots()
        image = panel.imshow(values, cmap=COLOURS, aspect="auto")
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for row, column in np.ndindex(values.shape):
            value = float(values[row, column])
            said = text(value, places) if math.isfinite(value) else "–"
            colour = "white" if value < middle else "black"
            panel.text(column, row, said, ha="center", va="center", fontsize=8, color=colour)
        name_ticks(panel, rows)
        name_ticks(panel, columns, "x")
        panel.grid(visible=False)
        as_it_stands(panel.xaxis.label, shortened(column_name))
        as_it_stands(panel.yaxis.label, shortened(row_name))
        figure.colorbar(image, ax=panel).set_label(title(metric))
        heading(figure, name, f"mean over n = {crossed.n} seeds", *_said(crossed))
    return figure


def interaction(name: str, crossed: Crossed, metric: Key, level: float = 0.95) -> Figure:
    """The mean over the levels of one factor, a line for each level of the other, with t intervals over seeds.

    Parallel lines say that the factors do not interact. The factor with more levels lies across. Intervals of two lines
    say less about their difference than its test does, since the lines share their seeds.
    """
    factor = scale(metric)
    names, (across_name, across) = crossed.line_names, crossed.across
    with rc_context(RC):
        width = max(2.8, 0.9 + 0.5 * len(across))
        figure = Figure(figsize=size(width, names, 2.7 + min(0.55 * letters(across), 2.0)), layout="constrained")
        panel = figure.subplots()
        drawn: list[float] = []
        for number in range(len(names)):
            means = [crossed.at(number, k) for k in range(len(across))]
            shift = (number - (len(names) - 1) / 2) * min(0.06, 0.5 / len(names))
            at, style = [k + shift for k in range(len(across))], look(number)
            panel.plot(at, [factor * mean.mean for mean in means], **style, zorder=3)
            for x, mean in zip(at, means, strict=True):
                ends = [factor * possible(metric, end) for end in (mean.low, mean.high)]
                panel.plot([x, x], ends, color=style["color"], linewidth=1.0, zorder=2)
                drawn += [end for end in (*ends, factor * mean.mean) if math.isfinite(end)]
        room(panel, drawn)
        name_ticks(panel, across, "x")
        panel.set_xlim(-0.5, len(across) - 0.5)
        panel.grid(axis="x", visible=False)
        as_it_stands(panel.xaxis.label, shortened(across_name))
        panel.set_ylabel(title(metric))
        legend(figure, names)
        p = p_value(crossed.p)
        said = f"lines are parallel where factors do not interact (p {p if p.startswith('<') else f'= {p}'}, Holm)"
        bars = f"mean over n = {crossed.n} seeds, bars: {100 * level:g} % t interval"
        heading(figure, name, bars, *([said] if math.isfinite(crossed.p) else []), *_said(crossed))
    return figure


def _said(crossed: Crossed) -> list[str]:
    others = ", ".join(map(shortened, crossed.averaged))
    return [f"averaged over {others}"] if others else []

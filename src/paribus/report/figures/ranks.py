"""The figure of arms over many regimes: their mean ranks, with bars over those that are not told apart."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from paribus.evidence.data_sets import Across
from paribus.report.figures.axes import across as inches
from paribus.report.figures.axes import as_it_stands, height, shortened, wrapped
from paribus.report.figures.sheet import captioned, drawing
from paribus.report.figures.style import COLUMN, SMALL
from paribus.report.numbers import name as name_of
from paribus.report.numbers import p_value

BAR = 0.09  # inches


def critical_difference(name: str, found: Across, level: float = 0.95, width: float = COLUMN) -> Figure:
    """Mean ranks on a line, the best at the left; the names of the better half stand to the left, the others to the
    right. A bar joins arms of which no two differ.

    Source: Demšar 2006, figure 1; bars by Wilcoxon's test and Holm in place of one critical difference.
    """
    ranks, arms = found.ranks, len(found.arms)
    order = [int(arm) for arm in np.argsort(ranks.mean, kind="stable")]
    groups = ranks.groups(1 - level)
    half = math.ceil(arms / 2)
    widest = max(inches(f"{shortened(arm)}  00.00") for arm in found.arms)
    side = min(0.34 * width, widest + 0.02)
    names = {arm: _ranked(found.arms[arm], float(ranks.mean[arm]), side) for arm in range(arms)}
    row = max(map(height, names.values())) + 0.04
    down = 0.3 + BAR * len(groups) + row * half
    out = 0.14  # inches from the end of the axis to a name
    axis = width - 2 * (side + out + 0.05)
    with drawing(width, down + 0.42, placed=True) as sheet:
        figure = sheet.figure
        high = figure.get_figheight()
        panel = figure.add_axes(((side + out + 0.05) / width, 0.06 / high, axis / width, down / high))
        panel.set_xlim(1, arms)
        panel.set_ylim(down, 0)
        panel.xaxis.tick_top()
        panel.set_xticks(range(1, arms + 1, math.ceil(arms / 10)))
        panel.yaxis.set_visible(False)
        panel.grid(visible=False)
        for edge in ("left", "bottom", "right"):
            panel.spines[edge].set_visible(False)
        panel.spines["top"].set_visible(True)
        for number, group in enumerate(groups):
            at = 0.12 + BAR * number
            ends = ranks.mean[group[0]] - 0.02 * (arms - 1), ranks.mean[group[-1]] + 0.02 * (arms - 1)
            panel.plot(ends, [at, at], color="#0072B2", linewidth=2.6, solid_capstyle="butt", clip_on=False)
        for place, arm in enumerate(order):
            better = place < half
            at = 0.2 + BAR * len(groups) + row * ((place if better else arms - 1 - place) + 0.5)
            end = 1 - out * (arms - 1) / axis if better else arms + out * (arms - 1) / axis
            rank = float(ranks.mean[arm])
            panel.plot([rank, rank, end], [0, at, at], color="#000000", linewidth=0.7, clip_on=False)
            written = panel.text(
                end, at, "", ha="right" if better else "left", va="center", fontsize=SMALL, linespacing=1.15
            )
            as_it_stands(written, names[arm])
    p = p_value(ranks.friedman)
    return captioned(
        figure,
        f"{name}: mean ranks (in brackets, 1 is best) of {name_of(found.metric)} over {ranks.n} regimes",
        f"Friedman p {p if p.startswith('<') else f'= {p}'}",
        "bars join arms of which no two differ (Wilcoxon, Holm)" if groups else "all arms differ (Wilcoxon, Holm)",
    )


def _ranked(name: str, rank: float, room: float) -> str:
    """A name with its rank behind it, in the same line where there is room."""
    lines = wrapped(name, room)
    last = f"{lines.rpartition(chr(10))[2]} ({rank:.2f})"
    return f"{lines}{' ' if inches(last) <= room else chr(10)}({rank:.2f})"

"""The figure of arms over many regimes: their mean ranks, with bars over those that are not told apart."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from paribus.evidence.data_sets import Across
from paribus.report.figures.axes import as_it_stands, heading, letters, shortened
from paribus.report.figures.style import RC
from paribus.report.numbers import p_value, title

ROW, BAR = 0.2, 0.09  # inches, of a name and of a bar


def critical_difference(name: str, found: Across, level: float = 0.95) -> Figure:
    """Mean ranks on a line, the best at the left; the names of the better half stand to the left, the others to the
    right. A bar joins arms of which no two differ.

    Source: Demšar 2006, figure 1; bars by Wilcoxon's test and Holm in place of one critical difference.
    """
    ranks, arms = found.ranks, len(found.arms)
    order = [int(arm) for arm in np.argsort(ranks.mean, kind="stable")]
    groups = ranks.groups(1 - level)
    half = math.ceil(arms / 2)
    across, left = 3.4, letters([found.arms[arm] for arm in order[:half]]) + 0.75
    right = letters([found.arms[arm] for arm in order[half:]]) + 0.75
    down = 0.35 + BAR * len(groups) + ROW * half
    with rc_context(RC):
        figure = Figure(figsize=(left + across + right, down + 0.95))
        width, height = figure.get_size_inches()
        panel = figure.add_axes((left / width, 0.1 / height, across / width, down / height))
        panel.set_xlim(1, arms)
        panel.set_ylim(down, 0)
        panel.xaxis.tick_top()
        panel.set_xticks(range(1, arms + 1, math.ceil(arms / 10)))
        panel.yaxis.set_visible(False)
        panel.grid(visible=False)
        for side in ("left", "bottom"):
            panel.spines[side].set_visible(False)
        panel.spines["top"].set_visible(True)
        for number, group in enumerate(groups):
            at = 0.14 + BAR * number
            ends = ranks.mean[group[0]] - 0.02 * (arms - 1), ranks.mean[group[-1]] + 0.02 * (arms - 1)
            panel.plot(ends, [at, at], color="#0072B2", linewidth=3, solid_capstyle="butt", clip_on=False)
        for place, arm in enumerate(order):
            better = place < half
            row = 0.3 + BAR * len(groups) + ROW * (place if better else arms - 1 - place)
            end = 1 - 0.12 * (arms - 1) / across if better else arms + 0.12 * (arms - 1) / across
            rank = float(ranks.mean[arm])
            panel.plot([rank, rank, end], [0, row, row], color="#000000", linewidth=0.8, clip_on=False)
            said = (
                f"{shortened(found.arms[arm])}  {rank:.2f}" if better else f"{rank:.2f}  {shortened(found.arms[arm])}"
            )
            written = panel.text(end, row, "", ha="right" if better else "left", va="center", fontsize=8.5)
            as_it_stands(written, said)
        p = p_value(ranks.friedman)
        heading(
            figure, name, f"mean ranks of {title(found.metric)} over {ranks.n} regimes",
            f"Friedman p {p if p.startswith('<') else f'= {p}'}; bars: no two arms differ (Wilcoxon, Holm)",
        )  # fmt: skip
    return figure

"""Learning curves: histories in, a figure out; the caller saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.report.table import is_percent, title
from paribus.stats.intervals import t_quantile

# Okabe & Ito 2008: tells apart for the colour-blind; dashes tell apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}
History = Mapping[str, Sequence[float]]


def learning_curves(
    name: str,
    histories: Mapping[str, Sequence[History]],
    metrics: Sequence[str] = ("train/loss", "val/acc"),
    x: str = "epoch",
) -> Figure:
    """A panel for each metric: the mean over an arm's seeds, with its 95 % t interval as a band where n >= 2.

    histories: arm -> one history (columns of equal length) for each seed.
    Losses are drawn on a logarithmic axis, and accuracies in percent on one that gives the top the most room.
    """
    with rc_context(STYLE):
        rows = math.ceil(len(histories) / 4)
        figure = Figure(figsize=(4.4 * len(metrics), 3.3 + 0.2 * rows), layout="constrained")
        axes = figure.subplots(1, len(metrics), squeeze=False)[0]
        counts = set()
        for axis, metric in zip(axes, metrics, strict=True):
            scale = 100.0 if is_percent(metric) else 1.0
            tops: list[float] = []
            for number, (arm, runs) in enumerate(histories.items()):
                points, means, halves, n = band(runs, metric, x)
                if not points.size:
                    continue
                counts.add(n)
                colour = COLOURS[number % len(COLOURS)]
                dash = DASHES[number // len(COLOURS) % len(DASHES)] if len(histories) > len(COLOURS) else DASHES[number % 4]
                axis.plot(points, means * scale, color=colour, linestyle=dash, label=arm)
                low, high = (means - halves) * scale, (means + halves) * scale
                if metric.endswith("loss"):  # a logarithmic axis has no place for what an interval says below zero
                    low = np.maximum(low, means * scale * 1e-1)
                axis.fill_between(points, low, high, color=colour, alpha=0.12, linewidth=0)
                tops.extend((means * scale).tolist())
            if x in ("epoch", "step"):
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_xlabel({"epoch": "epoch", "step": "update", "seconds": "seconds"}.get(x, x))
            axis.set_ylabel(title(metric))
            if metric.endswith("loss") and tops and min(tops) > 0:
                axis.set_yscale("log")
            elif is_percent(metric) and tops:
                # The best arms differ by a point while the worst start at chance: show the upper part.
                low = max(0.0, float(np.quantile(tops, 0.1)) - 5.0)
                axis.set_ylim(low, min(100.5, max(tops) + 1.0))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))), handlelength=2.8)
        figure.suptitle(f"{name}: mean over {_seeds(counts)}, band: 95 % t interval", fontsize=9)
    return figure


def band(runs: Sequence[History], metric: str, x: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(x, mean, half width of the 95 % t interval, n) over the points that all runs have."""
    columns = [
        (np.asarray(run[x], dtype=float), np.asarray(run[metric], dtype=float)) for run in runs if metric in run and x in run
    ]
    kept = [(points[~np.isnan(values)], values[~np.isnan(values)]) for points, values in columns]
    if not kept:
        empty = np.empty(0)
        return empty, empty, empty, 0
    length = min(len(values) for _, values in kept)
    points = np.mean([points[:length] for points, _ in kept], axis=0)
    values = np.stack([values[:length] for _, values in kept])
    n = len(kept)
    if n == 1:
        return points, values[0], np.zeros(length), 1
    half = t_quantile(0.975, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)
    return points, values.mean(axis=0), half, n


def _seeds(counts: set[int]) -> str:
    if not counts:
        return "no runs"
    low, high = min(counts), max(counts)
    return f"{low} seed{'s' if low > 1 else ''}" if low == high else f"{low} to {high} seeds"

"""Learning curves of arms: means over runs, in bands, or around the runs themselves where these are few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.base.metrics import Key
from paribus.evidence.arms import ReportError
from paribus.evidence.curves import Curve, mean_curve
from paribus.report.figures.axes import counted, error_scale, log_losses, room, without_outliers
from paribus.report.figures.sheet import captioned, lines, small
from paribus.report.figures.style import COLUMN
from paribus.report.numbers import name as name_of
from paribus.report.numbers import possible, scale, title

History = Mapping[str, Sequence[float]]
AXES = {"epoch": "epoch", "step": "update", "seconds": "training time (s)"}
BANDED = 5  # runs, from which on a band says more than the runs themselves


def learning_curves(
    name: str,
    histories: Mapping[str, Sequence[History]],
    metrics: Sequence[Key],
    x: str = "epoch",
    level: float = 0.95,
    width: float = COLUMN,
) -> Figure:
    """A panel for each metric, with a line for each arm: the mean over its runs, in a band, its t interval.

    Fewer than `BANDED` runs are thin lines instead of a band. Losses, and what else falls towards zero, stand on a
    logarithmic axis; their mean and interval are those of the logarithm (a geometric mean), since an interval around an
    arithmetic mean may reach below zero. Accuracies above 90 % stand on an axis that is logarithmic in the error: 85,
    93, 97, 99 and 100 % lie equally far apart. A run that ends before the others of its arm (stopped, diverged, still
    running) enters no mean: it is drawn as a thin line that ends in a cross. An arrow at the edge stands for each mean
    that leaves the panel.

    histories: arm -> one history for each run: columns of equal length by name.
    x: epoch, step or seconds. width: in inches.

    Raises ReportError where no history has any of the metrics.
    """
    for metric in metrics:
        if not any(metric in run for runs in histories.values() for run in runs):
            known = dict.fromkeys(key for runs in histories.values() for run in runs for key in run if key not in AXES)
            raise ReportError(
                f"a curve is a column of the histories, got {metric}. There are {', '.join(known) or 'none'}"
            )
    arms = list(histories)
    curves = {
        metric: [mean_curve(runs, metric, x, level, log=metric.metric.falls) for runs in histories.values()]
        for metric in metrics
    }
    opacity = max(0.05, min(0.16, 0.8 / max(1, len(arms))))  # bands of many arms add up
    clipped: dict[Key, int] = {}

    def draw(panel: Axes, metric: Key, number: int, style: dict[str, Any], full: bool) -> tuple[float, float] | None:
        return _draw(panel, curves[metric][number], metric, number, style, full, opacity)

    def dress(panel: Axes, metric: Key) -> None:
        clipped[metric] = _dress(panel, curves[metric], metric, x)

    # Of small panels there may be room for one metric only: the last, by which arms are compared.
    shown_first = [*metrics[-1:], *metrics[:-1]] if small(arms) else list(metrics)
    figure, kept, said = lines(width, arms, shown_first, draw, dress)
    drawn = [curve for metric in kept for curve in curves[metric]]
    shown = " and ".join(dict.fromkeys(name_of(metric) for metric in kept))
    what = f"{name}: {shown} over {'training time' if x == 'seconds' else AXES.get(x, x) + 's'}"
    return captioned(figure, what, said, *_said(drawn, level, sum(clipped.values())))


def _draw(
    panel: Axes, curve: Curve, metric: Key, number: int, style: dict[str, Any], full: bool, opacity: float
) -> tuple[float, float] | None:
    factor = scale(metric)
    thin = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 0.5}
    if full:
        for points, values in curve.partial:
            panel.plot(points, values * factor, **{**thin, "linewidth": 0.7})
            panel.plot(points[-1:], values[-1:] * factor, color=style["color"], marker="x", mec="auto", mew=1, ms=4)
    if not len(curve.x):
        return None
    if full and curve.n >= BANDED:
        band = [possible(metric, end) * factor for end in (curve.low, curve.high)]
        panel.fill_between(curve.x, *band, color=style["color"], alpha=opacity, linewidth=0)
    elif full and curve.n > 1:
        for points, values in curve.whole:
            panel.plot(points, values * factor, **thin, alpha=0.6)
    # Markers at a phase of their own, so that lines which lie on one another show as several.
    gap = max(1, len(curve.x) // 5)
    top = {"zorder": 4} if number == 0 else {}
    panel.plot(curve.x, curve.mean * factor, **{"zorder": 3, **style, **top}, markevery=(number % gap, gap))
    return float(curve.x[-1]), float(curve.mean[-1] * factor)


def _dress(panel: Axes, curves: Sequence[Curve], metric: Key, x: str) -> int:
    """The axes of a panel, with an arrow for each mean that leaves them. How many there are."""
    factor = scale(metric)
    shown = [curve for curve in curves if len(curve.x)]
    log = metric.metric.falls and all((curve.mean > 0).all() for curve in shown)
    means = _span([curve.mean * factor for curve in shown], log)
    if log:
        log_losses(panel, means)
    elif metric.metric.is_percent and means and max(means) > 90:
        error_scale(panel, min(means))
    else:
        room(panel, means)
    if x != "seconds":
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.margins(x=0.02)
    panel.set_xlabel(AXES.get(x, x))
    panel.set_ylabel(title(metric))
    left = 0
    if means:
        for curve in shown:
            for beyond, edge, marker in (
                (curve.mean * factor > max(means) * (1 + 1e-9), 0.98, "^"),
                (curve.mean * factor < min(means) * (1 - 1e-9), 0.02, "v"),
            ):
                if beyond.any():
                    left += 1
                    at = curve.x[int(np.argmax(beyond))]
                    panel.plot(at, edge, marker, color="#000000", ms=4, transform=panel.get_xaxis_transform(), zorder=6)
    return left


def _span(means: Sequence[np.ndarray], log: bool) -> list[float]:
    """The ends of an axis for these curves; where there are many, without the few that would more than double it."""
    if not means:
        return []
    lows, highs = ([float(end(each)) for each in means] for end in (np.min, np.max))
    if log:
        lows, highs = ([math.log(each) for each in ends] for ends in (lows, highs))
    span = [without_outliers(lows)[0], without_outliers(highs)[-1]]
    return [math.exp(each) for each in span] if log else span


def _said(curves: Sequence[Curve], level: float, clipped: int) -> list[str]:
    counts = [curve.n for curve in curves if curve.n]
    said = ["single runs"]
    if max(counts, default=0) > 1:
        banded = [n for n in counts if n >= BANDED]
        around = [f"band: {100 * level:g} % t interval of the mean"] if banded else []
        if any(1 < n < BANDED for n in counts):
            around.append("thin lines: the runs themselves")
        said = [f"mean over runs (n = {counted(counts)} per arm); {'; '.join(around)}"]
    if any(curve.partial for curve in curves):
        said.append("thin line to a cross: a run that ended early")
    if clipped:
        said.append(f"arrows: {clipped} means leave the axis there")
    return said

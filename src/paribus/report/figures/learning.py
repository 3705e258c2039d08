"""Learning curves of arms: means over runs, in bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.base.metrics import Key
from paribus.evidence.arms import ReportError
from paribus.evidence.curves import Curve, mean_curve
from paribus.report.figures.axes import counted, error_scale, heading, legend, log_losses, room, size
from paribus.report.figures.style import RC, look
from paribus.report.numbers import possible, scale, title

History = Mapping[str, Sequence[float]]
AXES = {"epoch": "epoch", "step": "update", "seconds": "training time (s)"}


def learning_curves(
    name: str,
    histories: Mapping[str, Sequence[History]],
    metrics: Sequence[Key],
    x: str = "epoch",
    level: float = 0.95,
) -> Figure:
    """A panel for each metric, with a line for each arm: the mean over its runs, in a band, its t interval.

    Losses, and what else falls towards zero, stand on a logarithmic axis; their mean and interval are those of the
    logarithm (a geometric mean), since an interval around an arithmetic mean may reach below zero. Accuracies above
    90 % stand on an axis that is logarithmic in the error: 85, 93, 97, 99 and 100 % lie equally far apart. A run
    that ends before the others of its arm (stopped, diverged, still running) enters no mean: it is drawn as a thin line
    that ends in a cross.

    histories: arm -> one history for each run: columns of equal length by name.
    x: epoch, step or seconds.

    Raises ReportError where no history has any of the metrics.
    """
    for metric in metrics:
        if not any(metric in run for runs in histories.values() for run in runs):
            known = dict.fromkeys(key for runs in histories.values() for run in runs for key in run if key not in AXES)
            raise ReportError(
                f"a curve is a column of the histories, got {metric}. There are {', '.join(known) or 'none'}"
            )
    arms = list(histories)
    with rc_context(RC):
        figure = Figure(
            figsize=size(2.95 * len(metrics), arms),
            layout="constrained",
        )
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        drawn: list[Curve] = []
        for panel, metric in zip(panels, metrics, strict=True):
            curves = [mean_curve(runs, metric, x, level, log=metric.metric.falls) for runs in histories.values()]
            _draw(panel, curves, metric, x)
            drawn += curves
        legend(figure, arms)
        heading(figure, name, *_said(drawn, level))
    return figure


def _draw(panel: Axes, curves: Sequence[Curve], metric: Key, x: str) -> None:
    factor = scale(metric)
    shown = [curve for curve in curves if len(curve.x)]
    log = metric.metric.falls and all((curve.mean > 0).all() for curve in shown)
    opacity = max(0.05, min(0.16, 0.8 / len(curves)))  # bands of many arms add up
    for number, curve in enumerate(curves):
        style = look(number)
        for points, values in curve.partial:
            panel.plot(points, values * factor, color=style["color"], linestyle=style["linestyle"], linewidth=0.7)
            panel.plot(points[-1:], values[-1:] * factor, color=style["color"], marker="x", mec="auto", mew=1, ms=5)
        if not len(curve.x):
            continue
        band = [possible(metric, end) * factor for end in (curve.low, curve.high)]
        panel.fill_between(curve.x, *band, color=style["color"], alpha=opacity, linewidth=0)
        # Markers at a phase of their own, so that lines which lie on one another show as several.
        gap = max(1, len(curve.x) // 5)
        top = 4 if number == 0 else 3
        panel.plot(curve.x, curve.mean * factor, **style, markevery=(number % gap, gap), zorder=top)
    means = [float(value) for curve in shown for value in curve.mean * factor]
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


def _said(curves: Sequence[Curve], level: float) -> list[str]:
    counts = [curve.n for curve in curves if curve.n]
    said = ["single runs"]
    if max(counts, default=0) > 1:
        band = f"band: {100 * level:g} % t interval of the mean"
        said = [f"mean over runs (n = {counted(counts)} per arm), {band}"]
    if any(curve.partial for curve in curves):
        said.append("thin line to a cross: a run that ended early")
    return said

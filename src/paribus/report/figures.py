"""Learning curves: histories in, a figure out; the caller saves it, with `save`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paribus.report.arms import ReportError
from paribus.report.curves import Curve, mean_curve
from paribus.report.escape import plain
from paribus.report.numbers import is_percent, scale, title
from paribus.report.style import RC, SAVING, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float]]
AXES = {"epoch": "epoch", "step": "update", "seconds": "training time (s)"}
LONGEST = 40  # characters of a name


def learning_curves(
    name: str,
    histories: Mapping[str, Sequence[History]],
    metrics: Sequence[str] = ("train/loss", "val/acc"),
    x: str = "epoch",
    level: float = 0.95,
) -> Figure:
    """A panel for each metric, with a line for each arm: the mean over its runs, in a band, its t interval.

    Losses stand on a logarithmic axis; their mean and interval are those of the logarithm (a geometric mean),
    since an interval around an arithmetic mean may reach below zero. Accuracies above 90 % stand on an axis
    that is logarithmic in the error: 85, 93, 97, 99 and 100 % lie equally far apart. A run that ends before
    the others of its arm (stopped, diverged, still running) enters no mean: it is drawn as a thin line that
    ends in a cross.

    histories: arm -> one history for each run: columns of equal length by name.
    x: epoch, step or seconds.

    Raises ReportError where no history has any of the metrics.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    for metric in metrics:
        if not any(metric in run for runs in histories.values() for run in runs):
            known = dict.fromkeys(key for runs in histories.values() for run in runs for key in run if key not in AXES)
            raise ReportError(
                f"a curve is a column of the histories, got {metric}. There are {', '.join(known) or 'none'}"
            )
    labels = [plain(arm) or "(no name)" for arm in histories]
    columns = math.ceil(len(labels) / 24)
    legend_width = columns * (0.75 + 0.075 * min(LONGEST, max(map(len, labels))))
    with rc_context(RC):
        figure = Figure(
            figsize=(2.95 * len(metrics) + legend_width, max(2.7, 0.55 + 0.19 * len(labels) / columns)),
            layout="constrained",
        )
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        drawn: list[Curve] = []
        for panel, metric in zip(panels, metrics, strict=True):
            curves = [mean_curve(runs, metric, x, level, log=_is_loss(metric)) for runs in histories.values()]
            _draw(panel, curves, metric, x)
            drawn += curves
        _legend(figure, labels, columns)
        figure.suptitle(_heading(name, drawn, level), fontsize=9, x=0.01, ha="left", parse_math=False)
    return figure


def save(figure: Figure, stem: Path | str, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write stem.png, stem.pdf, ...; the same figure gives the same bytes."""
    from matplotlib import rc_context

    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    paths = []
    with rc_context(SAVING):
        for each in formats:
            path = stem.with_name(f"{stem.name}.{each}")
            figure.savefig(path, metadata=undated.get(each))
            paths.append(path)
    return paths


def _draw(panel: Axes, curves: Sequence[Curve], metric: str, x: str) -> None:
    from matplotlib.ticker import MaxNLocator

    factor = scale(metric)
    shown = [curve for curve in curves if len(curve.x)]
    log = _is_loss(metric) and all((curve.mean > 0).all() for curve in shown)
    opacity = max(0.05, min(0.16, 0.8 / len(curves)))  # bands of many arms add up
    for number, curve in enumerate(curves):
        style = look(number)
        for points, values in curve.partial:
            panel.plot(points, values * factor, color=style["color"], linestyle=style["linestyle"], linewidth=0.7)
            panel.plot(points[-1:], values[-1:] * factor, color=style["color"], marker="x", mec="auto", mew=1, ms=5)
        if not len(curve.x):
            continue
        band = (curve.low * factor, curve.high * factor)
        panel.fill_between(curve.x, *band, color=style["color"], alpha=opacity, linewidth=0)
        # Markers at a phase of their own, so that lines which lie on one another show as several.
        gap = max(1, len(curve.x) // 5)
        top = 4 if number == 0 else 3
        panel.plot(curve.x, curve.mean * factor, **style, markevery=(number % gap, gap), zorder=top)
    means = [float(value) for curve in shown for value in curve.mean * factor]
    if log:
        panel.set_yscale("log")
        _room(panel, means, log=True)
    elif is_percent(metric) and means and max(means) > 90:
        _error_scale(panel, min(means))
    else:
        _room(panel, means, log=False)
    if x != "seconds":
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.margins(x=0.02)
    panel.set_xlabel(AXES.get(x, x))
    panel.set_ylabel(title(metric))


def _room(panel: Axes, means: Sequence[float], log: bool) -> None:
    """Limits from the means, so that a wide band does not squeeze them."""
    if means and max(means) > min(means):
        low, high = (math.log(min(means)), math.log(max(means))) if log else (min(means), max(means))
        margin = 0.06 * (high - low)
        limits = low - margin, high + margin
        panel.set_ylim(*(map(math.exp, limits) if log else limits))


def _error_scale(panel: Axes, lowest: float) -> None:
    """y -> -log(101 - y) for percent: the error on a logarithmic axis that reaches zero."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    panel.set_yscale("function", functions=(lambda y: -np.log(np.maximum(101 - y, 1e-3)), lambda z: 101 - np.exp(-z)))
    panel.set_ylim(max(0.0, lowest - 0.05 * (101 - lowest)), 100.1)
    panel.yaxis.set_major_locator(FixedLocator((0, 40, 60, 70, 80, 85, 90, 93, 95, 97, 98, 99, 100)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _legend(figure: Figure, labels: Sequence[str], columns: int) -> None:
    """Beside the panels, in the order of the arms."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **look(number)) for number in range(len(labels))]
    # Given as numbers and then replaced, because a legend leaves out labels that begin with an underscore.
    legend = figure.legend(
        handles,
        [str(k) for k in range(len(labels))],
        loc="outside right upper",
        ncols=columns,
        handlelength=3.2,
    )
    for written, label in zip(legend.get_texts(), labels, strict=True):
        written.set_text(shortened(label))
        written.set_parse_math(False)


def _heading(name: str, curves: Sequence[Curve], level: float) -> str:
    counts = sorted({curve.n for curve in curves if curve.n})
    name = shortened(plain(name))
    parts = [f"{name}: single runs"]
    if counts and counts[-1] > 1:
        n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
        parts = [f"{name}: mean over runs ({n} an arm), band: {100 * level:g} % t interval of the mean"]
    if any(curve.partial for curve in curves):
        parts.append("thin line to a cross: a run that ended early")
    return "\n".join(parts)


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _is_loss(metric: str) -> bool:
    return metric.rsplit("/", 1)[-1].removesuffix("_best") == "loss"

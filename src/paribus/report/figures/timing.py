"""The figure of time: cost of an update and of an epoch over the batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from paribus.report.figures.axes import heading, legend, log_ticks, plain_logs, size
from paribus.report.figures.style import RC, look
from paribus.report.tidy import SATURATED
from paribus.stats.intervals import mean_interval


def batch_times(
    name: str, updates: Mapping[str, Mapping[int, Sequence[float]]], epochs: Mapping[str, Mapping[int, Sequence[float]]]
) -> Figure:
    """Milliseconds an update and seconds an epoch over the batch size, both axes logarithmic.

    Every run is a small dot, a line joins the means. The dotted line lies at 1.5 times the time of the smallest
    batch: below it a larger batch is nearly free (claim 1.2-1). Times depend on the hardware and on what else it did.

    updates, epochs: series (arms that differ only in their batch size) -> batch size -> time of each run.
    """
    series = list(updates)
    sizes = [size for of in updates.values() for size in of]
    with rc_context(RC):
        figure = Figure(figsize=size(5.6, series if len(series) > 1 else []), layout="constrained")
        panels = figure.subplots(1, 2)
        for panel, times, what in zip(panels, (updates, epochs), ("ms / update", "s / epoch"), strict=True):
            for number, one in enumerate(series):
                of, style = times[one], look(number)
                at = sorted(of)
                means = [mean_interval(of[size]).mean for size in at]
                panel.plot(at, means, **style, zorder=3)
                dots = [(size, value) for size in at for value in of[size]]
                panel.plot(*zip(*dots, strict=True), ".", color=style["color"], alpha=0.45, ms=4, mew=0, zorder=2)
                if what.startswith("ms"):
                    panel.axhline(SATURATED * means[0], color=style["color"], linewidth=0.8, linestyle=(0, (1, 2)))
            panel.set_yscale("log")
            plain_logs(panel)
            log_ticks(panel, "x", sizes)
            panel.set_xlabel("batch size")
            panel.set_ylabel(what)
        if len(series) > 1:
            legend(figure, series)
        heading(
            figure,
            name,
            "time against batch size; dots: runs, lines: means",
            f"dotted: {SATURATED:g} x the smallest batch",
        )
    return figure

"""The figure of time: cost of an update and of an epoch over the batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paribus.report.figures.axes import counted, log_ticks, plain_logs
from paribus.report.figures.sheet import captioned, lines
from paribus.report.figures.style import COLUMN
from paribus.report.tidy import SATURATED
from paribus.stats.intervals import mean_interval

UPDATE, EPOCH = "ms / update", "s / epoch"


def batch_times(
    name: str,
    updates: Mapping[str, Mapping[int, Sequence[float]]],
    epochs: Mapping[str, Mapping[int, Sequence[float]]],
    width: float = COLUMN,
) -> Figure:
    """Milliseconds an update and seconds an epoch over the batch size, both axes logarithmic.

    Every run is a small dot, a line joins the means. The dotted line lies at 1.5 times the time of the smallest
    batch: below it a larger batch is nearly free (claim 1.2-1). Times depend on the hardware and on what else it did.

    updates, epochs: series (arms that differ only in their batch size) -> batch size -> time of each run.
    """
    series = list(updates)
    times = {UPDATE: updates, EPOCH: epochs}

    def draw(panel: Axes, what: str, number: int, style: dict[str, Any], full: bool) -> tuple[float, float]:
        of = times[what][series[number]]
        at = sorted(of)
        means = [mean_interval(of[size]).mean for size in at]
        panel.plot(at, means, **{"zorder": 3, **style})
        if full:
            dots = [(size, value) for size in at for value in of[size]]
            panel.plot(*zip(*dots, strict=True), ".", color=style["color"], alpha=0.45, ms=4, mew=0, zorder=2)
            if what == UPDATE:
                panel.axhline(SATURATED * means[0], color=style["color"], linewidth=0.8, linestyle=(0, (1, 2)))
        return at[-1], means[-1]

    def dress(panel: Axes, what: str) -> None:
        panel.set_yscale("log")
        plain_logs(panel)
        log_ticks(panel, "x", [size for of in updates.values() for size in of])
        panel.set_xlabel("batch size")
        panel.set_ylabel(what)

    figure, kept, said = lines(width, series, [UPDATE, EPOCH], draw, dress)
    n = counted([len(runs) for of in updates.values() for runs in of.values()])
    dotted = f"dotted: {SATURATED:g} times that of the smallest batch" if UPDATE in kept else ""
    what = " and ".join({UPDATE: "time of an update", EPOCH: "of an epoch"}[each] for each in kept)
    return captioned(
        figure, f"{name}: {what}, against the batch size", said, f"dots: runs (n = {n}), lines: means", dotted
    )

"""Figures of times to targets: how many runs of an arm are there by when, and how arms compare over several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.evidence.targets import TargetTimes
from paribus.report.figures.axes import counted, log_ticks
from paribus.report.figures.learning import BANDED
from paribus.report.figures.search import BANDS
from paribus.report.figures.sheet import captioned, lines
from paribus.report.figures.style import COLUMN
from paribus.report.tables.targets import target_words
from paribus.report.tidy import FACTORS, arrivals, profile_end, profile_steps
from paribus.stats.profile import performance_ratios


def time_to_target(name: str, times: Sequence[TargetTimes], width: float = COLUMN) -> Figure:
    """A panel for each target, with a step line for each arm: the share of its runs that have reached it, against what
    it took them, 1 - S of the Kaplan-Meier estimate S. Bands, of up to four arms of five runs or more, hold at each
    time alone."""
    arms = list(times[0].arms)
    banded = len(arms) <= BANDS and all(arm.curve.n >= BANDED for each in times for arm in each.arms.values())

    def draw(
        panel: Axes, each: TargetTimes, number: int, style: dict[str, Any], full: bool
    ) -> tuple[float, float] | None:
        x, share, low, high = arrivals(each, arms[number])
        if not len(x):
            return None
        if banded and full:
            panel.fill_between(x, low, high, color=style["color"], alpha=0.1, linewidth=0, step="post")
        gap = max(1, len(x) // 5)
        top = {"zorder": 4} if number == 0 else {}
        steps: dict[str, Any] = {"drawstyle": "steps-post", "markevery": (number * 7 % gap, gap)}
        panel.plot(x, share, **{"zorder": 3, **style, **top}, **steps)
        return x[-1], share[-1]

    def dress(panel: Axes, each: TargetTimes) -> None:
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlim(left=0)
        panel.margins(x=0.02)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.set_xlabel(each.unit)
        panel.set_ylabel("share of runs")

    heads = [target_words(each).removeprefix("a ") for each in times]
    figure, kept, said = lines(width, arms, list(times), draw, dress, heads)
    n = counted([arm.n for each in times for arm in each.arms.values() if arm.n])
    targets = " and ".join(target_words(each) for each in kept)
    return captioned(
        figure,
        f"{name}: share of runs that have reached {targets} (Kaplan-Meier), n = {n} runs per arm",
        said,
        f"band: {100 * times[0].level:g} % log-log interval at each time" if banded else "",
    )


def speed_profile(name: str, times: Mapping[str, Sequence[float]], tasks: int, width: float = COLUMN) -> Figure:
    """The share of tasks on which an arm reaches the target within a factor tau of the fastest arm, against tau.

    times: arm -> median time on each task, infinite where fewer than half of its runs reach the target.
    """
    ratios = list(performance_ratios(times).values())
    right = profile_end(performance_ratios(times))

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> tuple[float, float]:
        x, share = profile_steps(ratios[number], right)
        top = {"zorder": 4} if number == 0 else {}
        panel.plot(x, share, drawstyle="steps-post", **{"zorder": 3, **style, **top})
        return x[-1], share[-1]

    def dress(panel: Axes, _: None) -> None:
        panel.set_ylim(-0.02, 1.02)
        log_ticks(panel, "x", [factor for factor in FACTORS if factor <= right])
        panel.set_xlim(0.98, right)
        panel.set_xlabel("factor τ of the fastest arm")
        panel.set_ylabel("share of tasks within τ")

    figure, _, said = lines(width, list(times), [None], draw, dress)
    return captioned(
        figure,
        f"{name}: share of {tasks} tasks on which an arm reaches the target within a factor τ of the fastest arm",
        said,
        "times are medians over the runs of an arm",
    )

"""Figures of times to targets: how many runs of an arm are there by when, and how arms compare over several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.evidence.targets import TargetTimes
from paribus.report.figures.axes import as_it_stands, counted, heading, legend, log_ticks, shortened, size
from paribus.report.figures.search import BANDS
from paribus.report.figures.style import RC, look
from paribus.report.tables.targets import target_words
from paribus.report.tidy import FACTORS, arrivals, profile_end, profile_steps
from paribus.stats.profile import performance_ratios


def time_to_target(name: str, times: Sequence[TargetTimes]) -> Figure:
    """A panel for each target, with a step line for each arm: the share of its runs that have reached it, against what
    it took them, 1 - S of the Kaplan-Meier estimate S. Bands, of up to four arms, hold at each time alone."""
    arms = list(times[0].arms)
    with rc_context(RC):
        figure = Figure(figsize=size(3.3 * len(times), arms), layout="constrained")
        panels = figure.subplots(1, len(times), squeeze=False)[0]
        opacity = 0.1 if len(arms) <= BANDS else 0.0
        for panel, each in zip(panels, times, strict=True):
            for number, arm in enumerate(each.arms):
                x, share, low, high = arrivals(each, arm)
                if not len(x):
                    continue
                style = look(number)
                panel.fill_between(x, low, high, color=style["color"], alpha=opacity, linewidth=0, step="post")
                gap = max(1, len(x) // 5)
                marks = (number * 7 % gap, gap)
                panel.plot(x, share, drawstyle="steps-post", **style, markevery=marks, zorder=4 if number == 0 else 3)
            panel.set_ylim(-0.02, 1.02)
            panel.set_xlim(left=0)
            panel.margins(x=0.02)
            panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.set_xlabel(each.unit)
            as_it_stands(panel.title, shortened(target_words(each).removeprefix("a ")))
            panel.title.set_fontsize(9)
        panels[0].set_ylabel("share of runs that reached it")
        legend(figure, arms)
        n = counted([arm.n for each in times for arm in each.arms.values() if arm.n])
        said = [f"band: {100 * times[0].level:g} % log-log interval at each time"] if opacity else []
        heading(figure, name, f"time to target, n = {n} runs per arm", *said)
    return figure


def speed_profile(name: str, times: Mapping[str, Sequence[float]], tasks: int) -> Figure:
    """The share of tasks on which an arm reaches the target within a factor tau of the fastest arm, against tau.

    times: arm -> median time on each task, infinite where fewer than half of its runs reach the target.
    """
    ratios = performance_ratios(times)
    right = profile_end(ratios)
    with rc_context(RC):
        figure = Figure(figsize=size(3.6, list(times)), layout="constrained")
        panel = figure.subplots()
        for number, own in enumerate(ratios.values()):
            x, share = profile_steps(own, right)
            panel.plot(x, share, drawstyle="steps-post", **look(number), zorder=4 if number == 0 else 3)
        panel.set_ylim(-0.02, 1.02)
        log_ticks(panel, "x", [factor for factor in FACTORS if factor <= right])
        panel.set_xlim(0.98, right)
        panel.set_xlabel("factor τ of the fastest arm")
        panel.set_ylabel("share of tasks within τ")
        legend(figure, list(times))
        heading(
            figure, name, f"performance profile of times to target, {tasks} tasks", "median over the runs of an arm"
        )
    return figure

"""Arms compared by seed: paired differences, the seeds themselves, regimes side by side, the steps of a path."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from paribus.base.metrics import Key
from paribus.report.figures.axes import as_it_stands, counted, heading, letters, name_ticks, shortened
from paribus.report.figures.style import RC, look
from paribus.report.numbers import decimals, difference_unit, p_value, possible, scale, text, title
from paribus.report.numbers import name as name_of
from paribus.report.tidy import Compared, Step
from paribus.stats.intervals import Mean

SOFT = "#8a8a8a"  # lines of reference
GAIN, LOSS = "#0072B2", "#D55E00"


def forest(
    name: str,
    compared: Sequence[Compared],
    metric: Key,
    baseline: str,
    smallest: float | None = None,
    level: float = 0.95,
) -> Figure:
    """A row for each arm: its paired difference from the baseline, the t interval, and the verdict in words.

    A solid line stands at 0, dashed ones at the smallest effect of interest, on both sides: an interval between
    them says that the arms are as good as equal. An interval that crosses 0 has an open marker.

    smallest: in the unit of the metric; no lines without it.
    """
    factor = scale(metric)
    words = [_in_words(each, factor) for each in compared]
    left = letters([each.arm for each in compared])
    right = 0.068 * max(len(word) for word in words)
    with rc_context(RC):
        figure = Figure(figsize=(left + 3.2 + right, 1.15 + 0.24 * len(compared)), layout="constrained")
        panel = figure.subplots()
        panel.axvline(0, color="#000000", linewidth=0.9, zorder=2)
        if smallest is not None:
            for side in (-smallest, smallest):
                panel.axvline(side * factor, color=SOFT, linewidth=0.9, linestyle=(0, (4, 2)), zorder=2)
        for row, each in enumerate(compared):
            crosses = each.low <= 0 <= each.high
            colour = "#000000" if crosses else GAIN if (each.mean > 0) != (metric.metric.better == "lower") else LOSS
            if math.isfinite(each.low):
                panel.plot([each.low * factor, each.high * factor], [row, row], color=colour, linewidth=1.4, zorder=3)
            face = "white" if crosses else colour
            panel.plot([each.mean * factor], [row], "o", color=colour, mfc=face, mec=colour, mew=1.2, ms=5, zorder=4)
        name_ticks(panel, [each.arm for each in compared])
        panel.set_ylim(len(compared) - 0.4, -0.6)
        panel.grid(axis="y", visible=False)
        panel.spines["left"].set_visible(False)
        unit = f" ({of.strip()})" if (of := difference_unit(metric)) else ""
        as_it_stands(panel.xaxis.label, f"{name_of(metric)}: difference from {shortened(baseline)}{unit}")
        beside = panel.secondary_yaxis("right")
        beside.set_yticks(range(len(words)), words)
        beside.tick_params(length=0)
        beside.spines["right"].set_visible(False)
        n = counted([each.n for each in compared])
        said = [f"paired differences, {100 * level:g} % t interval, n = {n} shared seeds; p after Holm"]
        if any(hypothesis == "" for each in compared for hypothesis, _ in each.verdicts):
            said.append(f"the ablation has no hypotheses; the verdicts answer “better than {shortened(baseline)}?”")
        if smallest is not None:
            places = decimals(smallest * factor)
            said.append(f"dashed: the smallest effect of interest, ±{text(smallest * factor, min(places, 3))}{unit}")
        heading(figure, name, *said)
    return figure


def seed_dots(name: str, values: Mapping[str, Mapping[Hashable, float]], metric: Key) -> Figure:
    """Every run as a dot in the column of its arm; a line joins the runs of one seed, a bar marks the arm's mean.

    values: arm -> seed -> value, as recorded. Parallel lines say that what differs between runs is the seed, and
    not the arm.
    """
    factor = scale(metric)
    arms = list(values)
    seeds = sorted({seed for of in values.values() for seed in of}, key=str)
    with rc_context(RC):
        width = max(3.4, 1.1 + 0.42 * len(arms))
        figure = Figure(figsize=(width, 2.5 + min(0.55 * letters(arms), 2.0)), layout="constrained")
        panel = figure.subplots()
        for seed in seeds:
            across = [factor * values[arm].get(seed, math.nan) for arm in arms]
            panel.plot(range(len(arms)), across, color=SOFT, linewidth=0.6, alpha=0.6, zorder=2)
        for number, arm in enumerate(arms):
            own = [factor * value for value in values[arm].values()]
            style = look(number)
            panel.plot(
                [number] * len(own),
                own,
                linestyle="none",
                marker=style["marker"],
                color=style["color"],
                ms=4.6,
                zorder=3,
            )
            if own:
                panel.plot([number - 0.3, number + 0.3], [np.mean(own)] * 2, color=style["color"], lw=1.6, zorder=4)
        name_ticks(panel, arms, "x")
        panel.set_xlim(-0.6, len(arms) - 0.4)
        panel.grid(axis="x", visible=False)
        panel.set_ylabel(title(metric))
        heading(figure, name, f"dots: runs; lines join the {len(seeds)} seeds,", "bars: means over seeds")
    return figure


def regimes(name: str, means: Mapping[str, Mapping[str, Mean]], metric: Key, level: float = 0.95) -> Figure:
    """A panel for each regime with the mean and t interval of every arm.

    All panels span the same range, so lengths compare, each about its own middle: regimes may differ in the task.
    A rule of thumb that holds only in one regime shows as an order of the arms that changes from panel to panel.

    means: regime -> arm -> mean, as recorded.
    """
    factor = scale(metric)
    means = {regime: {arm: _drawn(metric, mean) for arm, mean in of.items()} for regime, of in means.items()}
    arms = list(dict.fromkeys(arm for of in means.values() for arm in of))
    with rc_context(RC):
        figure = Figure(
            figsize=(letters(arms) + 0.3 + 1.75 * max(2, len(means)), 1.2 + 0.22 * len(arms)), layout="constrained"
        )
        panels = figure.subplots(1, len(means), sharey=True, squeeze=False)[0]
        ends = [_reach(of.values(), factor) for of in means.values()]
        # Where all are equal, wide enough for the axis to have two ends that differ in floating point.
        largest = max((abs(end) for both in ends for end in both), default=0.0)
        half = max(0.54 * max((high - low for low, high in ends), default=0.0), 1e-9 * largest) or 0.5
        for panel, (low, high) in zip(panels, ends, strict=True):
            panel.set_xlim((low + high) / 2 - half, (low + high) / 2 + half)
        for panel, (regime, of) in zip(panels, means.items(), strict=True):
            for number, arm in enumerate(arms):
                if arm not in of or not math.isfinite(of[arm].mean):
                    continue
                style, mean = look(number), of[arm]
                if math.isfinite(mean.low):
                    panel.plot([mean.low * factor, mean.high * factor], [number] * 2, color=style["color"], lw=1.3)
                panel.plot([mean.mean * factor], [number], marker=style["marker"], color=style["color"], ms=5.2)
            as_it_stands(panel.title, shortened(regime))
            panel.title.set_fontsize(9)
            panel.grid(axis="y", visible=False)
        name_ticks(panels[0], arms)
        panels[0].set_ylim(len(arms) - 0.4, -0.6)
        for panel in panels[1:]:
            panel.tick_params(axis="y", length=0)
        figure.supxlabel(title(metric), fontsize=9)
        n = counted([mean.n for of in means.values() for mean in of.values() if mean.n])
        heading(figure, name, f"mean and {100 * level:g} % t interval in each regime, n = {n}")
    return figure


def _drawn(metric: Key, mean: Mean) -> Mean:
    return replace(mean, low=float(possible(metric, mean.low)), high=float(possible(metric, mean.high)))


def _reach(means: Iterable[Mean], factor: float) -> tuple[float, float]:
    """From the lowest to the highest end of an interval, or mean where there is none."""
    ends = [end * factor for mean in means for end in (mean.low, mean.mean, mean.high) if math.isfinite(end)]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def waterfall(name: str, steps: Sequence[Step], metric: Key, level: float = 0.95) -> Figure:
    """The greedy path: a bar from each step to the next, its height the gain, a whisker its paired t interval."""
    factor = scale(metric)
    arms = [step.arm for step in steps]
    with rc_context(RC):
        width = max(3.4, 1.2 + 0.62 * len(steps))
        figure = Figure(figsize=(width, 2.5 + min(0.55 * letters(arms), 2.0)), layout="constrained")
        panel = figure.subplots()
        before = steps[0].mean * factor
        panel.plot([-0.35, 0.35], [before] * 2, color="#000000", linewidth=2)
        reach = [before]
        for column, step in enumerate(steps[1:], start=1):
            here = before + step.gain * factor
            up = here == before or (here > before) != (metric.metric.better == "lower")
            panel.bar(
                column, here - before, 0.62, before, color=GAIN if up else LOSS, hatch="" if up else "///", ec="white"
            )
            panel.plot([column - 1 + 0.35, column + 0.31], [before] * 2, color=SOFT, linewidth=0.8)
            low, high = before + step.low * factor, before + step.high * factor
            panel.plot([column] * 2, [low, high], color="#000000", linewidth=1.1, marker="_", ms=6, mec="auto", mew=1.1)
            said = text(step.gain * factor, min(3, decimals((step.high - step.low) / 2 * factor)), sign=True)
            top = max(value for value in (here, before, high) if math.isfinite(value))
            panel.annotate(said, (column, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)
            reach += [here, *(value for value in (low, high) if math.isfinite(value))]
            before = here
        low, high = min(reach), max(reach)
        margin = (high - low or 1.0) * 0.12
        panel.set_ylim(low - margin, high + 1.6 * margin)
        panel.set_xlim(-0.6, len(steps) - 0.4)
        name_ticks(panel, arms, "x")
        panel.grid(axis="x", visible=False)
        panel.set_ylabel(title(metric))
        heading(
            figure,
            name,
            "gain of each step of the path, over shared seeds",
            f"whisker: its {100 * level:g} % t interval",
        )
    return figure


def _in_words(each: Compared, factor: float) -> str:
    places = min(5, decimals((each.high - each.low) / 2 * factor))
    mean, low, high = (text(value * factor, places, sign=True) for value in (each.mean, each.low, each.high))
    said = f"{mean} ({low} to {high})" if math.isfinite(each.low) else mean
    said += "" if math.isnan(each.p_holm) else f", p {p_value(each.p_holm).lstrip()}"
    verdicts = ", ".join(f"{hypothesis} {outcome}".strip() for hypothesis, outcome in each.verdicts)
    return f"{said}  {verdicts}".rstrip()

"""Figures of tuning: sensitivity of arms to a rate, the worth of a search of k points, the spread of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.base.metrics import Key
from paribus.evidence.budgets import Budgets
from paribus.report.figures.axes import (
    as_it_stands,
    counted,
    error_scale,
    heading,
    legend,
    log_losses,
    log_ticks,
    room,
    size,
)
from paribus.report.figures.style import RC, look
from paribus.report.numbers import possible, scale, title
from paribus.report.tidy import Searched
from paribus.stats.intervals import mean_interval
from paribus.stats.proportions import clopper_pearson
from paribus.stats.tuning import best_of_k as expected_best

Scores = Mapping[float, Sequence[float]]  # value of the tuned key -> score of each tuning seed, nan where it diverged

BANDS = 4  # arms whose bands can be told apart


def sensitivity(
    name: str, scores: Mapping[str, Scores], key: str, metric: Key, chosen: Mapping[str, float] | None = None
) -> Figure:
    """The score of each arm over what was tuned, a line for each: the mean over tuning seeds that did not diverge.

    A ring marks the value that was chosen. A cross at the lower edge (the upper one for a loss) marks a value at
    which runs diverged, with how many of how many; the line is broken where all did.

    scores: arm -> value -> scores, as recorded. chosen: arm -> value.
    """
    factor = scale(metric)
    arms = list(scores)
    values = sorted({value for of in scores.values() for value in of})
    log = min(values) > 0 and len(values) > 2
    means = {arm: {v: _mean(of[v]) * factor for v in sorted(of)} for arm, of in scores.items()}
    finite = [value for of in means.values() for value in of.values() if math.isfinite(value)]
    with rc_context(RC):
        figure = Figure(figsize=size(3.9, arms, 2.9), layout="constrained")
        panel = figure.subplots()
        for number, arm in enumerate(arms):
            style = look(number)
            panel.plot(list(means[arm]), list(means[arm].values()), **style, zorder=3)
            if chosen and arm in chosen and math.isfinite(means[arm].get(chosen[arm], math.nan)):
                at = chosen[arm], means[arm][chosen[arm]]
                panel.plot(*at, "o", ms=9, mfc="none", mec=style["color"], mew=1.3, zorder=4)
        _limits(panel, finite, metric)
        if log:
            log_ticks(panel, "x", values)
        edge = 0.02 if metric.metric.higher is not False else 0.98
        some = False
        for number, arm in enumerate(arms):
            for value in sorted(scores[arm]):
                lost = sum(not math.isfinite(score) for score in scores[arm][value])
                if lost:
                    some = True
                    shift = 0.035 * number * (1 if edge < 0.5 else -1)
                    panel.plot(
                        value, edge + shift, "x", color=look(number)["color"], mec="auto", mew=1.4, ms=5.5,
                        transform=panel.get_xaxis_transform(), clip_on=False, zorder=5,
                    )  # fmt: skip
        as_it_stands(panel.xaxis.label, key)
        panel.set_ylabel(title(metric))
        legend(figure, arms)
        n = counted([len(own) for of in scores.values() for own in of.values()])
        said = ["cross: runs diverged there and are excluded from the mean"] if some else []
        heading(figure, name, f"mean over {n} tuning seeds; ring: the value chosen", *said)
    return figure


def trials(name: str, found: Sequence[Searched], metric: Key) -> Figure:
    """The score of each trial of a search over each of its keys, a panel for each: the mean over tuning seeds that did
    not diverge.

    A ring marks the trial that was chosen. A cross at the lower edge (the upper one for a loss) marks a trial all of
    whose runs diverged.
    """
    factor = scale(metric)
    arms = list(dict.fromkeys(arm for each in found for arm in each.trials))
    values = [_mean(scores) * factor for each in found for of in each.trials.values() for _, scores in of]
    finite = [value for value in values if math.isfinite(value)]
    edge = 0.02 if metric.metric.higher is not False else 0.98
    across = min(len(found), 3)
    down = math.ceil(len(found) / across)
    with rc_context(RC):
        figure = Figure(figsize=size(1.0 + 2.5 * across, arms, 0.5 + 2.4 * down), layout="constrained")
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for panel, each in zip(panels, found, strict=False):
            _limits(panel, finite, metric)
            for number, arm in enumerate(arms):
                style = {**look(number), "linestyle": "none"}
                of = each.trials.get(arm, ())
                means = [_mean(scores) * factor for _, scores in of]
                panel.plot([value for value, _ in of], means, **style, zorder=3)
                if arm in each.chosen and math.isfinite(means[each.chosen[arm]]):
                    at = of[each.chosen[arm]][0], means[each.chosen[arm]]
                    panel.plot(*at, "o", ms=9, mfc="none", mec=style["color"], mew=1.3, zorder=4)
                lost = [value for (value, _), mean in zip(of, means, strict=True) if not math.isfinite(mean)]
                for value in lost:
                    panel.plot(
                        value, edge, "x", color=style["color"], mec="auto", mew=1.4, ms=5.5,
                        transform=panel.get_xaxis_transform(), clip_on=False, zorder=5,
                    )  # fmt: skip
            if each.log:
                log_ticks(panel, "x", [value for of in each.trials.values() for value, _ in of])
            as_it_stands(panel.xaxis.label, each.key)
        for panel in panels[len(found) :]:
            panel.remove()
        for panel in panels[::across]:
            panel.set_ylabel(title(metric))
        legend(figure, arms, line=False)
        n = counted([len(scores) for each in found for of in each.trials.values() for _, scores in of])
        some = ["cross: all runs of a trial diverged"] if len(finite) < len(values) else []
        heading(figure, name, f"trials, mean over {n} tuning seeds; ring: the trial chosen", *some)
    return figure


def best_of_k(name: str, scores: Mapping[str, Sequence[float]], metric: Key, note: str = "") -> Figure:
    """The score to expect of the best of k points tried at random from each arm's grid: what a budget of k is worth.

    Unbiased over subsets without replacement (Tang et al. 2020). Curves that cross say that the better arm depends on
    the budget for tuning.

    scores: arm -> score of each grid point, finite: the mean over its tuning seeds, diverged runs at chance.
    note: what a reader must know beside.
    """
    factor = scale(metric)
    sign = -1.0 if metric.metric.higher is False else 1.0
    with rc_context(RC):
        figure = Figure(figsize=size(3.6, list(scores)), layout="constrained")
        panel = figure.subplots()
        drawn: list[float] = []
        for number, own in enumerate(scores.values()):
            curve = expected_best([sign * score for score in own])
            drawn += (sign * factor * curve.unbiased).tolist()
            panel.plot(curve.k, sign * factor * curve.unbiased, **look(number))
        _limits(panel, drawn, metric)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        panel.set_xlabel("points tried, k")
        panel.set_ylabel(title(metric))
        legend(figure, list(scores))
        heading(figure, name, "expected best of k points", *([note] if note else []))
    return figure


def budgets(name: str, found: Budgets) -> Figure:
    """What each arm gives after k trials, on a logarithmic axis, with a band up to half of the trials.

    Marks at the worse end of the axis show at which numbers of trials an arm or the baseline is ahead; there are none
    where it is open.
    """
    factor, higher = scale(found.metric), found.metric.metric.higher is not False
    arms = list(found.arms)
    with rc_context(RC):
        figure = Figure(figsize=size(3.9, arms, 2.9), layout="constrained")
        panel = figure.subplots()
        opacity = 0.12 if len(arms) <= BANDS and found.without is None else 0.0
        drawn: list[float] = []
        for number, each in enumerate(found.arms.values()):
            banded = [one for one in each.curve if math.isfinite(one.low)]
            low, high = (
                [factor * float(possible(found.metric, getattr(one, side))) for one in banded]
                for side in ("low", "high")
            )
            style = look(number)
            panel.fill_between([one.k for one in banded], low, high, color=style["color"], alpha=opacity, linewidth=0)
            means = [factor * one.mean for one in each.curve]
            drawn += means
            marks = [k - 1 for k in _powers(found.trials)]
            panel.plot([one.k for one in each.curve], means, **style, markevery=marks, zorder=3)
        _limits(panel, drawn, found.metric)
        height, step = (0.97, -0.04) if not higher else (0.03, 0.04)
        for row, arm in enumerate(arm for arm, each in found.arms.items() if each.gaps):
            for ks, leads in found.ahead(arm):
                style = {**look(arms.index(leads)), "linestyle": "none"}
                at = panel.get_xaxis_transform()
                panel.plot(ks, [height + row * step] * len(ks), **style, transform=at, clip_on=False, zorder=5)
        log_ticks(panel, "x", _powers(found.trials))
        panel.set_xlabel("trials, k")
        panel.set_ylabel(title(found.metric))
        legend(figure, arms)
        said = [f"band: {100 * found.level:g} % interval at each k"] if opacity else []
        if any(found.ahead(arm) for arm in arms):
            said.append(f"marks {'below' if higher else 'above'}: who is ahead, the arm or {found.baseline}")
        heading(figure, name, "expected best of k trials", *(said if found.without is None else [found.without]))
    return figure


def profile(name: str, scores: Mapping[str, Sequence[float]], metric: Key, level: float = 0.95) -> Figure:
    """Performance profile: the share of an arm's runs that do better than a score, for every score.

    A curve above another at all scores belongs to an arm that is better in distribution, and not only in the mean.
    Bands, of up to four arms, are exact (Clopper & Pearson) and hold at each score alone. Diverged runs, nan, do
    better than nothing.

    scores: arm -> score of each run. Source: Dolan & More 2002; Agarwal et al. 2021.
    """
    factor = scale(metric)
    sign = -1.0 if metric.metric.higher is False else 1.0
    arms = list(scores)
    finite = [score * factor for of in scores.values() for score in of if math.isfinite(score)]
    margin = 0.04 * (max(finite) - min(finite) or abs(finite[0]) or 1.0)
    taus = np.union1d(np.linspace(min(finite) - margin, max(finite) + margin, 200), finite)
    with rc_context(RC):
        figure = Figure(figsize=size(3.6, arms), layout="constrained")
        panel = figure.subplots()
        opacity = 0.1 if len(arms) <= BANDS else 0.0  # wide as they are at few seeds, more would hide the lines
        for number, arm in enumerate(arms):
            own = np.array([sign * factor * s if math.isfinite(s) else -math.inf for s in scores[arm]])
            if not len(own):
                continue
            counts = [int((own > sign * tau).sum()) for tau in taus]
            exact = {k: clopper_pearson(k, len(own), level) for k in set(counts)}
            style = look(number)
            low, high = ([getattr(exact[k], side) for k in counts] for side in ("low", "high"))
            panel.fill_between(taus, low, high, color=style["color"], alpha=opacity, linewidth=0, step="post")
            gap = max(1, len(taus) // 5)
            marks = (number * 7 % gap, gap)
            panel.plot(taus, [exact[k].share for k in counts], drawstyle="steps-post", **style, markevery=marks)
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlim(taus[0], taus[-1])
        if sign < 0:
            panel.invert_xaxis()
        panel.set_xlabel(f"{title(metric)}, τ")
        panel.set_ylabel("share of runs better than τ")
        legend(figure, arms)
        n = sorted({len(of) for of in scores.values()})
        counted = f"n = {n[0]}" if len(n) == 1 else f"n = {n[0]} to {n[-1]}"
        heading(
            figure,
            name,
            f"performance profile, {counted} runs per arm",
            f"band: exact {100 * level:g} % interval at each τ",
        )
    return figure


def _powers(trials: int) -> list[int]:
    """1, 2, 4, ... up to the trials, and these."""
    return sorted({*(2**power for power in range(trials.bit_length()) if 2**power <= trials), trials})


def _mean(scores: Sequence[float]) -> float:
    return mean_interval([score for score in scores if math.isfinite(score)]).mean


def _limits(panel: Axes, values: Sequence[float], metric: Key) -> None:
    if metric.metric.is_percent and values and max(values) > 90:
        error_scale(panel, min(values))
    elif metric.metric.falls and values and min(values) > 0:
        log_losses(panel, values)
    else:
        room(panel, values)

"""Figures of tuning: sensitivity of arms to a rate, the worth of a search of k points, the spread of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paribus.base.metrics import Key
from paribus.evidence.budgets import Budgets
from paribus.report.figures.axes import as_it_stands, counted, error_scale, log_losses, log_ticks, room, shortened
from paribus.report.figures.learning import BANDED
from paribus.report.figures.sheet import captioned, lines, room_below, small, strip
from paribus.report.figures.style import COLUMN, look
from paribus.report.numbers import name as name_of
from paribus.report.numbers import possible, scale, title
from paribus.report.tidy import Searched, factor_name
from paribus.stats.intervals import mean_interval
from paribus.stats.proportions import clopper_pearson
from paribus.stats.tuning import best_of_k as expected_best

Scores = Mapping[float, Sequence[float]]  # value of the tuned key -> score of each tuning seed, nan where it diverged

BANDS = 4  # arms whose bands can be told apart


def sensitivity(
    name: str,
    scores: Mapping[str, Scores],
    key: str,
    metric: Key,
    chosen: Mapping[str, float] | None = None,
    width: float = COLUMN,
) -> Figure:
    """The score of each arm over what was tuned, a line for each: the mean over tuning seeds that did not diverge.

    A ring marks the value that was chosen. A cross in the strip below marks a value at which runs diverged; the line is
    broken where all did.

    scores: arm -> value -> scores, as recorded. chosen: arm -> value.
    """
    factor = scale(metric)
    arms = list(scores)
    values = sorted({value for of in scores.values() for value in of})
    log = min(values) > 0 and len(values) > 2
    means = {arm: {v: _mean(of[v]) * factor for v in sorted(of)} for arm, of in scores.items()}
    finite = [value for of in means.values() for value in of.values() if math.isfinite(value)]
    lost = {
        arm: [v for v in sorted(of) if not all(math.isfinite(score) for score in of[v])] for arm, of in scores.items()
    }
    rows = min(sum(map(bool, lost.values())), 1 if small(arms) else len(arms))
    crosses: dict[Axes, list[tuple[float, int, str]]] = {}
    rings = False

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> tuple[float, float] | None:
        nonlocal rings
        arm = arms[number]
        own = means[arm]
        panel.plot(list(own), list(own.values()), **{"zorder": 3, **style})
        if full:
            if chosen and math.isfinite(own.get(chosen.get(arm, math.nan), math.nan)):
                rings = True
                at = chosen[arm], own[chosen[arm]]
                panel.plot(*at, "o", ms=7, mfc="none", mec=style["color"], mew=1.1, zorder=4)
            row = 0 if small(arms) else sum(bool(lost[each]) for each in arms[:number])
            crosses.setdefault(panel, []).extend((value, row, style["color"]) for value in lost[arm])
        ends = [(x, y) for x, y in own.items() if math.isfinite(y)]
        return ends[-1] if ends else None

    def dress(panel: Axes, _: None) -> None:
        _limits(panel, finite, metric)
        if log:
            log_ticks(panel, "x", values)
        as_it_stands(panel.xaxis.label, shortened(factor_name(key)))
        panel.set_ylabel(title(metric))
        if rows:
            strip(panel, crosses.get(panel, []), rows)

    figure, _, said = lines(width, arms, [None], draw, dress, below=room_below(rows))
    n = counted([len(own) for of in scores.values() for own in of.values()])
    return captioned(
        figure,
        f"{name}: {name_of(metric)} over {factor_name(key)}, mean over {n} tuning seeds",
        said,
        "ring: the value chosen" if rings else "",
        "crosses below: runs diverged there, and are in no mean" if rows else "",
    )


def trials(name: str, found: Sequence[Searched], metric: Key, width: float = COLUMN) -> Figure:
    """The score of each trial of a search over each of its keys, a panel for each: the mean over tuning seeds that did
    not diverge.

    A ring marks the trial that was chosen. A cross in the strip below marks a trial all of whose runs diverged.
    """
    factor = scale(metric)
    arms = list(dict.fromkeys(arm for each in found for arm in each.trials))
    means = {
        each.key: {arm: [_mean(scores) * factor for _, scores in of] for arm, of in each.trials.items()}
        for each in found
    }
    finite = [value for of in means.values() for own in of.values() for value in own if math.isfinite(value)]
    some = any(not math.isfinite(value) for of in means.values() for own in of.values() for value in own)
    crosses: dict[Axes, list[tuple[float, int, str]]] = {}
    rings = False

    def draw(panel: Axes, each: Searched, number: int, style: dict[str, Any], full: bool) -> None:
        nonlocal rings
        arm = arms[number]
        of, own = each.trials.get(arm, ()), means[each.key].get(arm, [])
        dots = {"zorder": 3, **style, "linestyle": "none", "marker": style["marker"] or "."}
        panel.plot([value for value, _ in of], own, **{**dots, **({} if full else {"markersize": 2})})
        if not full:
            return
        if arm in each.chosen and math.isfinite(own[each.chosen[arm]]):
            rings = True
            at = of[each.chosen[arm]][0], own[each.chosen[arm]]
            panel.plot(*at, "o", ms=7, mfc="none", mec=style["color"], mew=1.1, zorder=4)
        row = 0 if small(arms) else number
        lost = [value for (value, _), mean in zip(of, own, strict=True) if not math.isfinite(mean)]
        crosses.setdefault(panel, []).extend((value, row, style["color"]) for value in lost)

    def dress(panel: Axes, each: Searched) -> None:
        _limits(panel, finite, metric)
        if each.log:
            log_ticks(panel, "x", [value for of in each.trials.values() for value, _ in of])
        as_it_stands(panel.xaxis.label, shortened(factor_name(each.key)))
        panel.set_ylabel(title(metric))
        if some:
            strip(panel, crosses.get(panel, []), 1 if small(arms) else len(arms))

    below = room_below(1 if small(arms) else len(arms)) if some else 0.0
    figure, kept, said = lines(width, arms, list(found), draw, dress, below=below)
    n = counted([len(scores) for each in found for of in each.trials.values() for _, scores in of])
    return captioned(
        figure,
        f"{name}: {name_of(metric)} of each trial over {' and '.join(factor_name(each.key) for each in kept)}, "
        f"mean over {n} tuning seeds",
        said,
        "ring: the trial chosen" if rings else "",
        "crosses below: all runs of a trial diverged" if some else "",
    )


def best_of_k(
    name: str, scores: Mapping[str, Sequence[float]], metric: Key, note: str = "", width: float = COLUMN
) -> Figure:
    """The score to expect of the best of k points tried at random from each arm's grid: what a budget of k is worth.

    Unbiased over subsets without replacement (Tang et al. 2020). Curves that cross say that the better arm depends on
    the budget for tuning.

    scores: arm -> score of each grid point, finite: the mean over its tuning seeds, diverged runs at chance.
    note: what a reader must know beside.
    """
    factor = scale(metric)
    sign = -1.0 if metric.metric.higher is False else 1.0
    curves = [expected_best([sign * score for score in own]) for own in scores.values()]
    drawn = [value for curve in curves for value in (sign * factor * curve.unbiased).tolist()]

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> tuple[float, float]:
        curve = curves[number]
        panel.plot(curve.k, sign * factor * curve.unbiased, **style)
        return float(curve.k[-1]), float(sign * factor * curve.unbiased[-1])

    def dress(panel: Axes, _: None) -> None:
        _limits(panel, drawn, metric)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        panel.set_xlabel("points tried, k")
        panel.set_ylabel(title(metric))

    figure, _, said = lines(width, list(scores), [None], draw, dress)
    what = f"{name}: {name_of(metric)} to expect of the best of k points of the grid, tried at random"
    return captioned(figure, what, said, note)


def budgets(name: str, found: Budgets, width: float = COLUMN) -> Figure:
    """What each arm gives after k trials, on a logarithmic axis, with a band up to half of the trials.

    Marks at the worse end of the axis show at which numbers of trials an arm or the baseline is ahead; there are none
    where it is open.
    """
    factor, higher = scale(found.metric), found.metric.metric.higher is not False
    arms = list(found.arms)
    opacity = 0.12 if len(arms) <= BANDS and found.without is None else 0.0
    drawn = [factor * one.mean for each in found.arms.values() for one in each.curve]
    marks = [k - 1 for k in _powers(found.trials)]

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> tuple[float, float]:
        each = found.arms[arms[number]]
        if opacity and full:
            banded = [one for one in each.curve if math.isfinite(one.low)]
            low, high = (
                [factor * float(possible(found.metric, getattr(one, side))) for one in banded]
                for side in ("low", "high")
            )
            panel.fill_between([one.k for one in banded], low, high, color=style["color"], alpha=opacity, linewidth=0)
        means = [factor * one.mean for one in each.curve]
        panel.plot([one.k for one in each.curve], means, **{"zorder": 3, **style}, markevery=marks)
        return each.curve[-1].k, means[-1]

    def dress(panel: Axes, _: None) -> None:
        _limits(panel, drawn, found.metric)
        if not small(arms):
            height, step = (0.97, -0.04) if not higher else (0.03, 0.04)
            for row, arm in enumerate(arm for arm, each in found.arms.items() if each.gaps):
                for ks, leads in found.ahead(arm):
                    style = {**look(arms.index(leads)), "linestyle": "none"}
                    at = panel.get_xaxis_transform()
                    panel.plot(ks, [height + row * step] * len(ks), **style, transform=at, clip_on=False, zorder=5)
        log_ticks(panel, "x", _powers(found.trials))
        panel.set_xlabel("trials, k")
        panel.set_ylabel(title(found.metric))

    figure, _, said = lines(width, arms, [None], draw, dress)
    sure = [f"band: {100 * found.level:g} % interval at each k"] if opacity else []
    if not small(arms) and any(found.ahead(arm) for arm in arms):
        sure.append(f"marks {'below' if higher else 'above'}: who is ahead, the arm or {found.baseline}")
    what = f"{name}: {name_of(found.metric)} to expect of the best of k trials, each of {found.seeds} seeds"
    return captioned(figure, what, said, *(sure if found.without is None else [found.without]))


def profile(
    name: str, scores: Mapping[str, Sequence[float]], metric: Key, level: float = 0.95, width: float = COLUMN
) -> Figure:
    """Performance profile: the share of an arm's runs that do better than a score, for every score.

    A curve above another at all scores belongs to an arm that is better in distribution, and not only in the mean.
    Bands, of up to four arms of five runs or more, are exact (Clopper & Pearson) and hold at each score alone. Diverged
    runs, nan, do better than nothing.

    scores: arm -> score of each run. Source: Dolan & More 2002; Agarwal et al. 2021.
    """
    factor = scale(metric)
    sign = -1.0 if metric.metric.higher is False else 1.0
    arms = list(scores)
    finite = [score * factor for of in scores.values() for score in of if math.isfinite(score)]
    margin = 0.04 * (max(finite) - min(finite) or abs(finite[0]) or 1.0)
    taus = np.union1d(np.linspace(min(finite) - margin, max(finite) + margin, 200), finite)
    # Wide as they are at few seeds, more would hide the lines.
    banded = len(arms) <= BANDS and all(len(of) >= BANDED for of in scores.values())

    def draw(panel: Axes, _: None, number: int, style: dict[str, Any], full: bool) -> None:
        own = np.array([sign * factor * s if math.isfinite(s) else -math.inf for s in scores[arms[number]]])
        if not len(own):
            return
        counts = [int((own > sign * tau).sum()) for tau in taus]
        if banded and full:
            exact = {k: clopper_pearson(k, len(own), level) for k in set(counts)}
            low, high = ([getattr(exact[k], side) for k in counts] for side in ("low", "high"))
            panel.fill_between(taus, low, high, color=style["color"], alpha=0.1, linewidth=0, step="post")
        gap = max(1, len(taus) // 5)
        steps: dict[str, Any] = {"drawstyle": "steps-post", "markevery": (number * 7 % gap, gap)}
        panel.plot(taus, [k / len(own) for k in counts], **style, **steps)

    def dress(panel: Axes, _: None) -> None:
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlim(*(taus[[0, -1]] if sign > 0 else taus[[-1, 0]]))
        panel.set_xlabel(f"{title(metric)}, τ")
        panel.set_ylabel("share of runs better than τ")

    figure, _, said = lines(width, arms, [None], draw, dress)
    n = counted([len(of) for of in scores.values()])
    return captioned(
        figure,
        f"{name}: share of runs whose {name_of(metric)} is better than τ, n = {n} runs per arm",
        said,
        f"band: exact {100 * level:g} % interval at each τ" if banded else "",
    )


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

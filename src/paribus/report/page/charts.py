"""The page's charts but learning curves, as data for its scripts: axes, series of points, lines of reference.

A chart is {"title", "x", "y", "series", ...}. An axis has a label and a kind: linear, log, error (percent, logarithmic
in the error), or band (names). A series belongs to an arm, by its number in the study: it has the arm's look, and is
hidden and lit with it. In a direct chart the series are no arms, and have their names at their ends.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from paribus.base.metrics import Key
from paribus.evidence.budgets import Budgets
from paribus.report import tidy
from paribus.report.escape import plain
from paribus.report.numbers import NONE, possible, scale, title, with_spread
from paribus.report.numbers import short as short_text
from paribus.report.page.thin import short
from paribus.report.page.words import p_text
from paribus.report.study import Study
from paribus.report.tidy import SATURATED
from paribus.stats.intervals import Mean, mean_interval
from paribus.stats.profile import performance_ratios
from paribus.stats.tuning import best_of_k

Chart = dict[str, Any]


def axis(metric: Key, values: Sequence[float]) -> dict[str, Any]:
    """For values as shown: accuracies above 90 % stand on the error scale, positive losses on a logarithmic one."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    kind = "linear"
    if metric.metric.is_percent and finite and max(finite) > 90:
        kind = "error"
    elif metric.metric.falls and finite and min(finite) > 0:
        kind = "log"
    return {"label": title(metric), "kind": kind}


def trials(study: Study) -> list[Chart]:
    """The trials of a search over each of its keys; none where `sensitivity` has a curve."""
    factor = scale(study.select_on)
    charts: list[Chart] = []
    for each in tidy.searched(study):
        series: list[Chart] = []
        shown: list[float] = []
        for number, arm in enumerate(study.arms):
            of = each.trials.get(arm, ())
            finite = [[score for score in scores if math.isfinite(score)] for _, scores in of]
            means = [mean_interval(own).mean * factor for own in finite]
            lost = [
                [x, len(own) - len(left), len(own)]
                for (x, own), left in zip(of, finite, strict=True)
                if len(own) > len(left)
            ]
            x = [value for value, _ in of]
            line = {"x": x, "y": short(means), "line": False, "chosen": each.chosen.get(arm), "lost": lost}
            series += [{"arm": number, **line}] if of else []
            shown += means
        x_axis = {"label": plain(each.key), "kind": "log" if each.log else "linear"}
        better = "low" if study.select_on.metric.higher is False else "high"
        y_axis = axis(study.select_on, shown)
        charts.append(
            {"title": "Trials", "x": x_axis, "y": y_axis, "series": series, "better": better, "hover": "point"}
        )
    return charts


def sensitivity(study: Study) -> Chart | None:
    found = tidy.tuned_scores(study) if not tidy.searched(study) else None
    if found is None:
        return None
    key, scores = found
    factor = scale(study.select_on)
    tuned = study.plan.tuned
    series: list[Chart] = []
    shown: list[float] = []
    for number, arm in enumerate(study.arms):
        if arm not in scores:
            continue
        finite = {v: [s for s in own if math.isfinite(s)] for v, own in scores[arm].items()}
        means = [mean_interval(own).mean * factor for own in finite.values()]
        lost = [[v, len(own) - len(finite[v]), len(own)] for v, own in scores[arm].items() if len(own) > len(finite[v])]
        ring = tuned[arm].point.get(key) if arm in tuned else None
        series.append({"arm": number, "x": list(finite), "y": short(means), "ring": ring, "lost": lost})
        shown += means
    values = sorted({value for of in scores.values() for value in of})
    x = {"label": plain(key), "kind": "log" if values[0] > 0 and len(values) > 2 else "linear", "ticks": values}
    better = "low" if study.select_on.metric.higher is False else "high"
    return {"title": "Sensitivity", "x": x, "y": axis(study.select_on, shown), "series": series, "better": better}


def seeds(study: Study) -> Chart | None:
    """Rows of arms with a dot for each run; the dots of one seed are joined."""
    values = tidy.seed_values(study)
    if study.table is None or max((len(of) for of in values.values()), default=0) < 2:
        return None
    factor = scale(study.metric)
    series: list[Chart] = []
    joins: dict[Hashable, list[list[float | None]]] = {}
    for number, row in enumerate(study.table.rows):
        own = row.cells[study.metric].values
        points = short([value * factor for value in own.values()])
        known = [{**run.timing, **run.metrics}.get(study.metric, math.nan) for run in row.runs]
        runs = [run for run, value in zip(row.runs, known, strict=True) if math.isfinite(value)]
        mean = short([row.cells[study.metric].mean.mean * factor])[0]
        about = {"notes": [f"seed {run.seed}" for run in runs], "ids": [run.id for run in runs]}
        series.append({"arm": number, "x": points, "y": [number] * len(own), "line": False, "mean": mean, **about})
        for seed, value in zip(own, points, strict=True):
            joins.setdefault(seed, []).append([value, number])
    # A linear axis: distances between seeds are what this chart shows.
    x = {"label": title(study.metric), "kind": "linear"}
    y = {"label": "", "kind": "band", "names": [plain(arm) or "(no name)" for arm in values]}
    return {
        "title": "Seeds",
        "x": x,
        "y": y,
        "series": series,
        "joins": list(joins.values()),
        "hover": "point",
        "rows": True,
    }


def regimes(studies: Sequence[Study], entries: Mapping[str, int]) -> Chart | None:
    """Means of arms, joined over the regimes: lines that cross say that the regime decides which arm is better.

    entries: of the arms in the legend.
    """
    tables = {each.regime or each.name: each.table for each in studies if each.table is not None}
    if len(tables) < 2:
        return None
    metric = studies[0].metric
    factor = scale(metric)
    arms = list(dict.fromkeys(row.arm for table in tables.values() for row in table.rows))
    rows = [{row.arm: row.cells[metric].mean for row in table.rows} for table in tables.values()]
    series: list[Chart] = []
    shown: list[float] = []
    for number, arm in enumerate(arms):
        means = [of.get(arm, mean_interval([])) for of in rows]
        shift = (number - (len(arms) - 1) / 2) * min(0.05, 0.5 / len(arms))
        at = [round(k + shift, 3) for k in range(len(means))]
        ends = {side: [possible(metric, getattr(mean, name)) for mean in means] for side, name in _SIDES.items()}
        line = {side: short([end * factor for end in of]) for side, of in ends.items()}
        notes = [f"n = {mean.n}" for mean in means]
        series.append({"arm": entries[arm], "x": at, **line, "whiskers": True, "notes": notes})
        shown += [mean.mean * factor for mean in means]
    x = {"label": "regime", "kind": "band", "names": [plain(name) for name in tables]}
    return {"title": "Regimes", "x": x, "y": axis(metric, shown), "series": series, "hover": "point"}


def times(study: Study) -> list[Chart]:
    """Milliseconds an update and seconds an epoch over the batch size; none where that does not vary."""
    found = tidy.batch_times(study)
    if max((len(of) for of in found["ms_per_update"].values()), default=0) < 2:
        return []
    charts: list[Chart] = []
    for metric, groups in found.items():
        series: list[Chart] = []
        lines: list[Chart] = []
        for number, (name, of) in enumerate(groups.items()):
            look = {"look": number, "name": plain(name)}
            means = {size: mean_interval(of[size]).mean for size in sorted(of)}
            dots = [(size, value) for size in sorted(of) for value in of[size]]
            series.append({**look, "x": [d[0] for d in dots], "y": short([d[1] for d in dots]), "dots": True})
            series.append({**look, "x": list(means), "y": short(list(means.values()))})
            if metric == "ms_per_update":
                level = short([SATURATED * next(iter(means.values()))])[0]
                lines.append({"y": level, "label": f"{SATURATED:g} × the smallest batch"})
        x = {"label": "batch size", "kind": "log", "ticks": sorted({size for of in groups.values() for size in of})}
        y = {"label": title(Key(metric)), "kind": "log"}
        charts.append({"title": title(Key(metric)), "x": x, "y": y, "series": series, "lines": lines, "direct": True})
    return charts


def best(study: Study) -> Chart | None:
    """Expected best of k points of the grid, or of k trials with its band."""
    if study.budgets is not None:
        return _budgets(study, study.budgets)
    scores = tidy.grid_scores(study)
    if max((len(of) for of in scores.values()), default=0) < 2:
        return None
    factor, sign = scale(study.select_on), -1.0 if study.select_on.metric.higher is False else 1.0
    series: list[Chart] = []
    shown: list[float] = []
    for number, arm in enumerate(study.arms):
        if arm in scores:
            curve = best_of_k([sign * score for score in scores[arm]])
            y = sign * factor * curve.unbiased
            shown += y.tolist()
            series.append({"arm": number, "x": curve.k.tolist(), "y": short(y)})
    x = {"label": "points tried, k", "kind": "linear", "whole": True}
    return {"title": "Best of k", "x": x, "y": axis(study.select_on, shown), "series": series}


def _budgets(study: Study, found: Budgets) -> Chart:
    factor = scale(found.metric)
    series: list[Chart] = []
    shown: list[float] = []
    for arm, each in found.arms.items():
        lines = {
            side: short([factor * float(possible(found.metric, getattr(one, of))) for one in each.curve])
            for side, of in _SIDES.items()
        }
        shown += [factor * one.mean for one in each.curve]
        series.append({"arm": list(study.arms).index(arm), "x": [one.k for one in each.curve], **lines})
    ticks = [2**power for power in range(found.trials.bit_length()) if 2**power <= found.trials]
    x = {"label": "trials, k", "kind": "log", "ticks": ticks}
    return {"title": "Best of k", "x": x, "y": axis(found.metric, shown), "series": series}


def interaction(study: Study) -> Chart | None:
    """Means over the levels of one factor, a line for each level of another: parallel where they do not interact."""
    found = tidy.crossed(study)
    if found is None:
        return None
    factor = scale(study.metric)
    series: list[Chart] = []
    for number, name in enumerate(found.line_names):
        means = [found.at(number, k) for k in range(len(found.across[1]))]
        shift = (number - (len(found.line_names) - 1) / 2) * min(0.05, 0.5 / len(found.line_names))
        at = [round(k + shift, 3) for k in range(len(means))]
        ends = {side: [possible(study.metric, getattr(mean, of)) for mean in means] for side, of in _SIDES.items()}
        line = {side: short([end * factor for end in of]) for side, of in ends.items()}
        series.append({"look": number, "name": plain(name), "x": at, **line, "whiskers": True})
    x = {"label": plain(found.across[0]), "kind": "band", "names": [plain(level) for level in found.across[1]]}
    # A linear axis: on another one, lines that differ by equally much are not parallel.
    y = {"label": title(study.metric), "kind": "linear"}
    return {"title": "Interaction", "x": x, "y": y, "series": series, "hover": "point", "direct": True}


def heat(study: Study) -> dict[str, Any] | None:
    """The same means as rows of cells: their text, and the place between the lowest and the highest, in percent."""
    found = tidy.crossed(study)
    if found is None:
        return None
    factor = scale(study.metric)
    values = [mean.mean * factor for mean in found.means.values()]
    low, high = min(values), max(values)
    span, best = high - low, low if study.metric.metric.higher is False else high

    def cell(mean: Mean | None) -> dict[str, Any]:
        if mean is None:
            return {"text": NONE, "heat": None, "best": False}
        at = mean.mean * factor
        said, _ = with_spread(at, mean.sd * factor)
        return {"text": said, "heat": round(100 * (at - low) / span) if span else 0, "best": at == best}

    return {
        "rows": plain(found.rows[0]),
        "columns": plain(found.columns[0]),
        "names": [plain(level) for level in found.columns[1]],
        "cells": [
            {"name": plain(name), "cells": [cell(found.means.get((row, k))) for k in range(len(found.columns[1]))]}
            for row, name in enumerate(found.rows[1])
        ],
        "ends": [short_text(low), short_text(high)],
        "averaged": f", averaged over {', '.join(map(plain, found.averaged))}" if found.averaged else "",
        "p": f" (p {p_text(found.p)}, Holm)" if math.isfinite(found.p) else "",
        "lines": plain(found.lines[0]),
    }


def speed(study: Study) -> list[Chart]:
    """The share of runs that have reached each target, over what it took them, in steps."""
    charts: list[Chart] = []
    for times in study.times:
        series: list[Chart] = []
        for number, arm in enumerate(study.arms):
            x, *lines = tidy.arrivals(times, arm)
            if x:
                y, low, high = (short(steps(line)) for line in lines)
                at = short([x[0], *(value for value in x[1:] for _ in range(2))])
                series.append({"arm": number, "x": at, "y": y, "low": low, "high": high})
        x_axis, y_axis = {"label": times.unit, "kind": "linear"}, {"label": "share of runs", "kind": "linear"}
        charts.append({"title": "Time to target", "x": x_axis, "y": y_axis, "series": series})
    return charts


def profile(studies: Sequence[Study], entries: Mapping[str, int]) -> Chart | None:
    """The share of tasks on which an arm is within a factor of the fastest; None where there are not several tasks.

    entries: of the arms in the legend.
    """
    tasks, times = tidy.task_times(studies)
    if len(tasks) < 2 or len(times) < 2:
        return None
    ratios = performance_ratios(times)
    right = tidy.profile_end(ratios)
    series: list[Chart] = []
    for arm, own in ratios.items():
        x, share = tidy.profile_steps(own, right)
        at = short([x[0], *(value for value in x[1:] for _ in range(2))])
        series.append({"arm": entries[arm], "x": at, "y": short(steps(share))})
    x_axis = {"label": "factor of the fastest arm", "kind": "log", "ticks": [t for t in tidy.FACTORS if t <= right]}
    y_axis = {"label": "share of tasks", "kind": "linear"}
    return {"title": "Profile", "x": x_axis, "y": y_axis, "series": series, "tasks": len(tasks)}


def steps(values: Sequence[float]) -> list[float]:
    """Each value up to the next place, and there the next one."""
    return [value for value in values[:-1] for _ in range(2)] + [values[-1]]


_SIDES: Mapping[str, str] = {"y": "mean", "low": "low", "high": "high"}

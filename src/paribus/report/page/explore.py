"""Charts in which a reader looks around: any two numbers of runs, and settings beside what they give, as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from paribus.base.metrics import Key
from paribus.evidence.arms import level_text
from paribus.evidence.factorial import varying
from paribus.report.escape import plain
from paribus.report.numbers import scale
from paribus.report.page.charts import Chart, axis
from paribus.report.page.thin import short
from paribus.report.study import Study
from paribus.stats.intervals import mean_interval

WIDE = 100.0  # positive values of which the largest is so many times the smallest stand on a logarithmic axis
LEAST = 3  # settings that are drawn beside each other; curves and heat maps show fewer


def scatter(study: Study) -> dict[str, Any] | None:
    """What any two of the recorded numbers are in the runs that are done; None where there are no two that vary.

    axes: of each number, the one that arms are compared by first. first: those that are drawn at first. arms: of each
    arm with runs its number, and of these runs ids, seeds and values.
    """
    runs = {arm: of for arm, of in study.runs("done").items() if of}
    found: dict[str, list[list[float]]] = {}
    for name in _recorded(study):
        rows = [[_value(run, name) for run in of] for of in runs.values()]
        finite = {value for row in rows for value in row if math.isfinite(value)}
        if len(finite) > 1:
            found[name] = rows
    if len(found) < 2:
        return None
    numbers = {arm: k for k, arm in enumerate(study.arms)}
    keys = {name: study.key(name) for name in found}
    shown = {name: [short(np.array(row) * scale(keys[name])) for row in rows] for name, rows in found.items()}
    names = list(found)
    drawn = {name: [value for row in rows for value in row if value is not None] for name, rows in shown.items()}
    return {
        "axes": {name: _axis(keys[name], values) for name, values in drawn.items()},
        "first": [names[1], names[0]],
        "arms": [
            {
                "arm": numbers[arm],
                "ids": [run.id for run in of],
                "notes": [f"seed {run.seed}" for run in of],
                "values": {name: rows[k] for name, rows in shown.items()},
            }
            for k, (arm, of) in enumerate(runs.items())
        ],
    }


def parallel(study: Study) -> Chart | None:
    """Settings beside each other, and what they give: a line for each point that was tried in tuning, or for each arm
    where nothing is tuned. None where there are fewer settings than a curve or a heat map shows.

    axes: of the factors of a grid (of other designs one for the arms), of the tuned keys and of the metric. series: of
    each line the values, None where it has none, and a note. higher: whether more of the metric is better.
    """
    factors = varying(study.plan)
    points = _points(study)
    keys = list(dict.fromkeys(key for _, point, _, _, _ in points for key in point))
    tuned = {key: [point[key] for _, point, _, _, _ in points if key in point] for key in keys}
    tuned = {key: values for key, values in tuned.items() if len(set(map(repr, values))) > 1}
    if len(factors) + len(tuned) < LEAST and len(tuned) < 2:
        return None
    levels = study.plan.levels if factors else {arm: {"arm": arm} for arm in study.arms}
    factors = factors or {"arm": tuple(study.arms)}
    metric = study.select_on if points else study.metric
    rows = points or [(arm, {}, mean, "", False) for arm, mean in _means(study).items()]
    numbers = {arm: k for k, arm in enumerate(study.arms)}
    axes = [_setting(name, of) for name, of in factors.items()]
    axes += [_setting(key, values) for key, values in tuned.items()]
    series: list[Chart] = []
    for arm, point, score, note, chosen in rows:
        if arm in numbers and math.isfinite(score):
            own = levels.get(arm, {})
            settings = [own.get(name) for name in factors] + [point.get(key) for key in tuned]
            places = [_place(each, value) for each, value in zip(axes, settings, strict=True)]
            value = short([score * scale(metric)])[0]
            series.append({"arm": numbers[arm], "values": [*places, value], "note": note, "chosen": chosen})
    if len(series) < 2:
        return None
    axes.append(axis(metric, [each["values"][-1] for each in series]))
    return {"title": "Settings", "axes": axes, "series": series, "higher": metric.metric.higher is not False}


def _recorded(study: Study) -> list[str]:
    """The numbers that runs record: those of the table first."""
    runs = [run for of in study.runs("done").values() for run in of]
    shown = [str(metric) for metric in study.table.metrics] if study.table else []
    rest = sorted({key for run in runs for key in (*run.metrics, *run.timing)})
    return list(dict.fromkeys([study.metric, *shown, *rest]))


def _value(run: Any, name: str) -> float:
    value = run.parameters if name == "parameters" else {**run.timing, **run.metrics}.get(name)
    return math.nan if value is None else float(value)


def _axis(metric: Key, values: Sequence[float]) -> dict[str, Any]:
    found = axis(metric, values)
    if found["kind"] == "linear" and min(values) > 0 and max(values) > WIDE * min(values):
        found["kind"] = "log"
    return found


def _setting(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Of numbers, linear or logarithmic; of others, their names."""
    numbers = [float(v) for v in values if _is_number(v)]
    if len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        names = list(dict.fromkeys(level_text(value) for value in values))
        return {"label": plain(name), "kind": "band", "names": [plain(each) for each in names], "levels": names}
    log = min(numbers) > 0 and max(numbers) >= 10 * min(numbers)
    different = sorted(set(numbers))
    ticks = {"ticks": different} if len(different) <= 12 else {}
    return {"label": plain(name), "kind": "log" if log else "linear", **ticks}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _place(on: dict[str, Any], value: Any) -> float | None:
    if value is None:
        return None
    found: float = on["levels"].index(level_text(value)) if on["kind"] == "band" else float(value)
    return found


Point = tuple[str, Any, float, str, bool]  # arm, settings, mean score, note, whether it was chosen


def _points(study: Study) -> list[Point]:
    """Of the points that were tried in tuning; those at which every run diverged have no score."""
    found: dict[tuple[str, str], tuple[Any, list[float]]] = {}
    for trial in study.trials:
        if trial.point:
            found.setdefault((trial.arm, repr(trial.point)), (trial.point, []))[1].append(trial.score)
    chosen = {(arm, repr(dict(tuned.point))) for arm, tuned in study.plan.tuned.items()}
    points = []
    for (arm, named), (point, scores) in found.items():
        finite = [score for score in scores if math.isfinite(score)]
        lost = len(scores) - len(finite)
        note = f"{lost} of {len(scores)} runs diverged" if lost else f"n = {len(scores)}"
        points.append((arm, point, mean_interval(finite).mean, note, (arm, named) in chosen))
    return points


def _means(study: Study) -> dict[str, float]:
    return {row.arm: row.cells[study.metric].mean.mean for row in study.table.rows} if study.table else {}

"""Every figure that an ablation or a run supports, by name, and why others are left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from paribus.base.metrics import Key, Metrics
from paribus.evidence.arms import ReportError
from paribus.evidence.data_sets import across
from paribus.report import tidy
from paribus.report.curves import curve_keys
from paribus.report.figures.differences import forest, regimes, seed_dots, waterfall
from paribus.report.figures.factors import heat_map, interaction
from paribus.report.figures.learning import History, learning_curves
from paribus.report.figures.ranks import critical_difference
from paribus.report.figures.runs import edge_of_stability, gradient_over_loss, training
from paribus.report.figures.search import best_of_k, budgets, profile, sensitivity, trials
from paribus.report.figures.speed import speed_profile, time_to_target
from paribus.report.figures.timing import batch_times
from paribus.report.study import Study
from paribus.report.tidy import (
    Crossed,
    comparisons,
    crossed,
    grid_scores,
    path_steps,
    run_scores,
    searched,
    seed_values,
    task_times,
    tuned_scores,
)


@dataclass(frozen=True)
class Missing:
    """Why a figure can't be drawn."""

    reason: str


Drawn = Figure | Missing
FIGURES: dict[str, Callable[[Study], Drawn]] = {}


def of_study(study: Study, names: Sequence[str]) -> Iterator[tuple[str, Drawn]]:
    """The figures of an ablation in one regime, one at a time."""
    for name in names:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                drawn = FIGURES[name](study)
            yield name, drawn
        except ReportError as error:
            yield name, Missing(str(error))


def of_run(name: str, history: History, known: Metrics) -> Iterator[tuple[str, Drawn]]:
    """The figures of one run. known: the metrics that it declares."""
    for stem, draw in RUN_FIGURES.items():
        try:
            yield stem, draw(name, history, known)
        except ReportError as error:
            yield stem, Missing(str(error))


RUN_FIGURES: dict[str, Callable[[str, History, Metrics], Figure]] = {
    "training": training,
    "gradient_over_loss": lambda name, history, known: gradient_over_loss(name, history),
    "edge_of_stability": lambda name, history, known: edge_of_stability(name, history),
}


def _curves(x: str) -> Callable[[Study], Drawn]:
    def draw(study: Study) -> Drawn:
        curves = {arm: runs for arm, runs in study.curves().items() if runs}
        logged = {key for runs in curves.values() for run in runs for key in run}
        metrics = curve_keys(study.known, logged, (study.metric, study.select_on))
        if not metrics:
            return Missing("no run has a history of a declared metric")
        return learning_curves(study.name, curves, [study.key(metric) for metric in metrics], x)

    return draw


def _sensitivity(study: Study) -> Drawn:
    if several := searched(study):
        return trials(study.name, several, study.select_on)
    found = tuned_scores(study)
    if found is None:
        return Missing("the ablation tunes no numeric key (ablation.tune)")
    key, scores = found
    tuned = study.plan.tuned
    chosen = {arm: float(t.point[key]) for arm, t in tuned.items() if key in t.point}
    return sensitivity(study.name, scores, key, study.select_on, chosen)


def _best_of_k(study: Study) -> Drawn:
    if study.budgets is not None:
        return budgets(study.name, study.budgets)
    scores = grid_scores(study)
    if max((len(of) for of in scores.values()), default=0) < 2:
        return Missing("it needs tuning runs at two or more points (ablation.tune)")
    lost = any(not math.isfinite(trial.score) for trial in study.trials)
    return best_of_k(study.name, scores, study.select_on, "diverged runs score at chance" if lost else "")


def _forest(study: Study) -> Drawn:
    compared = comparisons(study)
    if not compared or study.table is None:
        return Missing("no arm has two finished seeds in common with the baseline")
    return forest(study.name, compared, study.metric, study.table.baseline.arm, study.smallest, study.table.level)


def _seeds(study: Study) -> Drawn:
    values = seed_values(study)
    if max((len(of) for of in values.values()), default=0) < 2:
        return Missing("no arm has two finished runs")
    return seed_dots(study.name, values, study.metric)


def _profile(study: Study) -> Drawn:
    scores = run_scores(study)
    if not any(math.isfinite(score) for of in scores.values() for score in of) or max(map(len, scores.values())) < 2:
        return Missing("no arm has two finished runs")
    return profile(study.name, scores, study.metric)


def _time_to_target(study: Study) -> Drawn:
    if not study.times:
        return Missing("no run has a time to a target (ablation.targets)")
    return time_to_target(study.name, study.times)


def _batch_times(study: Study) -> Drawn:
    updates, epochs = tidy.batch_times(study).values()
    if max((len(of) for of in updates.values()), default=0) < 2:
        return Missing("the batch size does not vary")
    return batch_times(study.name, updates, epochs)


def _path(study: Study) -> Drawn:
    steps = path_steps(study)
    if len(steps) < 2:
        return Missing("the design is not a path of two or more steps (ablation.design)")
    return waterfall(study.name, steps, study.metric)


def _crossed(draw: Callable[[str, Crossed, Key], Figure]) -> Callable[[Study], Drawn]:
    def drawn(study: Study) -> Drawn:
        if isinstance(study.grid, str):
            return Missing(study.grid)
        found = crossed(study)
        return Missing("no two factors interact in any way") if found is None else draw(study.name, found, study.metric)

    return drawn


FIGURES |= {
    "learning_curves_epochs": _curves("epoch"),
    "learning_curves_updates": _curves("step"),
    "learning_curves_seconds": _curves("seconds"),
    "sensitivity": _sensitivity,
    "forest": _forest,
    "seeds": _seeds,
    "batch_times": _batch_times,
    "best_of_k": _best_of_k,
    "performance_profile": _profile,
    "time_to_target": _time_to_target,
    "path": _path,
    "heat_map": _crossed(heat_map),
    "interaction": _crossed(interaction),
}


def of_regimes(name: str, studies: Sequence[Study]) -> Drawn:
    """The panel over the regimes of one ablation."""
    tables = {each.regime or each.name: each.table for each in studies if each.table is not None}
    if len(tables) < 2:
        return Missing("there is one regime (ablation.regimes)")
    metric = studies[0].metric
    means = {regime: {row.arm: row.cells[metric].mean for row in table.rows} for regime, table in tables.items()}
    return regimes(name, means, metric)


def of_tasks(name: str, studies: Sequence[Study]) -> Drawn:
    """The profile over the targets of several regimes, data sets or ablations with the same arms."""
    tasks, times = task_times(studies)
    if len(tasks) < 2 or len(times) < 2:
        return Missing("it needs two targets or more, each of a regime, data set or ablation, and arms that all have")
    return speed_profile(name, times, len(tasks))


def of_data_sets(name: str, studies: Sequence[Study]) -> Drawn:
    """Mean ranks of the arms over the regimes of one ablation."""
    found = across([each.table for each in studies if each.table is not None])
    return Missing(found) if isinstance(found, str) else critical_difference(name, found)


OF_STUDIES: dict[str, Callable[[str, Sequence[Study]], Drawn]] = {
    "regimes": of_regimes,
    "speed_profile": of_tasks,
    "critical_difference": of_data_sets,
}

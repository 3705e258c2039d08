"""Every figure that an ablation or a run supports, by name, and why others are left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from matplotlib.figure import Figure

from paribus.base.metrics import Key, Metrics
from paribus.evidence.arms import ReportError
from paribus.evidence.data_sets import across
from paribus.report import tidy
from paribus.report.curves import curve_keys
from paribus.report.figures.differences import forest, regimes, seed_dots, waterfall
from paribus.report.figures.factors import heat_map, interaction, over_numbers
from paribus.report.figures.learning import History, learning_curves
from paribus.report.figures.ranks import critical_difference
from paribus.report.figures.runs import edge_of_stability, gradient_over_loss, training
from paribus.report.figures.search import best_of_k, budgets, profile, sensitivity, trials
from paribus.report.figures.sheet import caption, captioned
from paribus.report.figures.speed import speed_profile, time_to_target
from paribus.report.figures.style import COLUMN
from paribus.report.figures.timing import batch_times
from paribus.report.study import Study
from paribus.report.tables.caption import facts, how_tuned
from paribus.report.tidy import (
    Crossed,
    arm_words,
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
FIGURES: dict[str, Callable[[Study, float], Drawn]] = {}
# Learning curves: the column of a history that is their time.
CURVES = {
    "learning_curves_epochs": "epoch",
    "learning_curves_updates": "step",
    "learning_curves_seconds": "seconds",
}
Of = TypeVar("Of")


def of_study(
    study: Study, names: Sequence[str], width: float = COLUMN, curves: Sequence[str] = ()
) -> Iterator[tuple[str, Drawn]]:
    """The figures of an ablation in one regime, one at a time, so many inches wide, each with its caption.

    curves: the metrics of learning curves (default: the loss, and what arms are compared by and selected on).
    """
    for name in names:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                drawn = _curves(CURVES[name], study, width, curves) if name in CURVES else FIGURES[name](study, width)
            yield name, _told(drawn, study)
        except ReportError as error:
            yield name, Missing(str(error))


def of_run(name: str, history: History, known: Metrics, width: float = COLUMN) -> Iterator[tuple[str, Drawn]]:
    """The figures of one run. known: the metrics that it declares."""
    for stem, draw in RUN_FIGURES.items():
        try:
            yield stem, draw(name, history, known, width)
        except ReportError as error:
            yield stem, Missing(str(error))


RUN_FIGURES: dict[str, Callable[[str, History, Metrics, float], Figure]] = {
    "training": lambda name, history, known, width: training(name, history, known, width=width),
    "gradient_over_loss": lambda name, history, known, width: gradient_over_loss(name, history, width=width),
    "edge_of_stability": lambda name, history, known, width: edge_of_stability(name, history, width=width),
}


def _told(drawn: Drawn, study: Study) -> Drawn:
    """The caption of a figure, and behind it what holds for every figure of this study."""
    if isinstance(drawn, Figure) and study.table is not None:
        captioned(drawn, caption(drawn), *facts(study.table))
    return drawn


def _called(of: Mapping[str, Of], study: Study) -> dict[str, Of]:
    """Arms by the names that figures give them."""
    words = arm_words(study)
    return {words.get(arm, arm): each for arm, each in of.items()}


def _curves(x: str, study: Study, width: float, asked: Sequence[str] = ()) -> Drawn:
    curves = {arm: runs for arm, runs in study.curves().items() if runs}
    logged = {key for runs in curves.values() for run in runs for key in run}
    metrics = asked or curve_keys(study.known, logged, (study.metric, study.select_on))
    if not curves or not metrics:
        return Missing("no run has a history of a declared metric")
    keys = [study.key(metric) for metric in metrics]
    return learning_curves(study.name, _called(curves, study), keys, x, width=width)


def _sensitivity(study: Study, width: float) -> Drawn:
    if several := searched(study):
        called = [
            replace(each, trials=_called(each.trials, study), chosen=_called(each.chosen, study)) for each in several
        ]
        return trials(study.name, called, study.select_on, width)
    found = tuned_scores(study)
    if found is None:
        return Missing("the ablation tunes no numeric key (ablation.tune)")
    key, scores = found
    tuned = study.plan.tuned
    chosen = _called({arm: float(t.point[key]) for arm, t in tuned.items() if key in t.point}, study)
    return sensitivity(study.name, _called(scores, study), key, study.select_on, chosen, width)


def _best_of_k(study: Study, width: float) -> Drawn:
    if study.budgets is not None:
        words = arm_words(study)
        arms = _called(study.budgets.arms, study)
        base = words.get(study.budgets.baseline, study.budgets.baseline)
        return budgets(study.name, replace(study.budgets, arms=arms, baseline=base), width)
    scores = grid_scores(study)
    if max((len(of) for of in scores.values()), default=0) < 2:
        return Missing("it needs tuning runs at two or more points (ablation.tune), without halving")
    lost = any(not math.isfinite(trial.score) for trial in study.trials)
    note = "diverged runs score at chance" if lost else ""
    return best_of_k(study.name, _called(scores, study), study.select_on, note, width)


def _forest(study: Study, width: float) -> Drawn:
    compared = comparisons(study)
    if not compared or study.table is None:
        return Missing("no arm has two finished seeds in common with the baseline")
    words, base = arm_words(study), study.table.baseline.arm
    called = [replace(each, arm=words.get(each.arm, each.arm)) for each in compared]
    level = study.table.level
    return forest(study.name, called, study.metric, words.get(base, base), study.smallest, level, width)


def _seeds(study: Study, width: float) -> Drawn:
    values = seed_values(study)
    if max((len(of) for of in values.values()), default=0) < 2:
        return Missing("no arm has two finished runs")
    return seed_dots(study.name, _called(values, study), study.metric, width)


def _profile(study: Study, width: float) -> Drawn:
    scores = run_scores(study)
    if not any(math.isfinite(score) for of in scores.values() for score in of) or max(map(len, scores.values())) < 2:
        return Missing("no arm has two finished runs")
    return profile(study.name, _called(scores, study), study.metric, width=width)


def _time_to_target(study: Study, width: float) -> Drawn:
    if not study.times:
        return Missing("no run has a time to a target (ablation.targets)")
    called = [replace(each, arms=_called(each.arms, study)) for each in study.times]
    return time_to_target(study.name, called, width)


def _batch_times(study: Study, width: float) -> Drawn:
    updates, epochs = tidy.batch_times(study).values()
    if max((len(of) for of in updates.values()), default=0) < 2:
        return Missing("the batch size does not vary")
    updates, epochs = ({tidy.in_words(series): each for series, each in of.items()} for of in (updates, epochs))
    return batch_times(study.name, updates, epochs, width)


def _path(study: Study, width: float) -> Drawn:
    steps = path_steps(study)
    if len(steps) < 2:
        return Missing("the design is not a path of two or more steps (ablation.design)")
    words = arm_words(study)
    return waterfall(
        study.name, [replace(each, arm=words.get(each.arm, each.arm)) for each in steps], study.metric, width=width
    )


def _over_numbers(study: Study, width: float) -> Drawn:
    found = tidy.over_numbers(study)
    if found is None:
        return Missing("no factor has three levels that are numbers (ablation.factors)")
    return over_numbers(study.name, found.key, found.means, found.seeds, study.metric, width=width)


def _crossed(draw: Callable[[str, Crossed, Key, float], Figure]) -> Callable[[Study, float], Drawn]:
    def drawn(study: Study, width: float) -> Drawn:
        if isinstance(study.grid, str):
            return Missing(study.grid)
        found = crossed(study)
        return (
            Missing("no two factors interact in any way")
            if found is None
            else draw(study.name, found, study.metric, width)
        )

    return drawn


FIGURES |= {name: partial(_curves, x) for name, x in CURVES.items()} | {
    "sensitivity": _sensitivity,
    "forest": _forest,
    "seeds": _seeds,
    "batch_times": _batch_times,
    "best_of_k": _best_of_k,
    "performance_profile": _profile,
    "time_to_target": _time_to_target,
    "path": _path,
    "heat_map": _crossed(heat_map),
    "interaction": _crossed(lambda name, found, metric, width: interaction(name, found, metric, width=width)),
    "over_numbers": _over_numbers,
}


def of_regimes(name: str, studies: Sequence[Study], width: float = COLUMN) -> Drawn:
    """The panel over the regimes of one ablation."""
    found = {each.regime or each.name: each for each in studies if each.table is not None}
    if len(found) < 2:
        return Missing("there is one regime (ablation.regimes)")
    metric = studies[0].metric
    means = {
        regime: _called({row.arm: row.cells[metric].mean for row in each.table.rows}, each)
        for regime, each in found.items()
        if each.table is not None
    }
    about = [
        f"{regime}: {each.ablation.about}" for regime, each in found.items() if each.ablation and each.ablation.about
    ]
    drawn = regimes(name, means, metric, width=width)
    _told(captioned(drawn, caption(drawn), *about), next(iter(found.values())))
    # What is said of the first holds for it; the others may be tuned in other ways.
    others = {regime: how_tuned(each.table) for regime, each in list(found.items())[1:] if each.table is not None}
    return captioned(drawn, caption(drawn), *(f"Regime {regime}: {how}" for regime, how in others.items() if how))


def of_tasks(name: str, studies: Sequence[Study], width: float = COLUMN) -> Drawn:
    """The profile over the targets of several regimes, data sets or ablations with the same arms."""
    tasks, times = task_times(studies)
    if len(tasks) < 2 or len(times) < 2:
        return Missing("it needs two targets or more, each of a regime, data set or ablation, and arms that all have")
    return _told(speed_profile(name, _called(times, studies[0]), len(tasks), width), studies[0])


def of_data_sets(name: str, studies: Sequence[Study], width: float = COLUMN) -> Drawn:
    """Mean ranks of the arms over the regimes of one ablation."""
    found = across([each.table for each in studies if each.table is not None])
    if isinstance(found, str):
        return Missing(found)
    words = arm_words(studies[0])
    called = replace(found, arms=tuple(words.get(arm, arm) for arm in found.arms))
    return _told(critical_difference(name, called, width=width), studies[0])


OF_STUDIES: dict[str, Callable[[str, Sequence[Study], float], Drawn]] = {
    "regimes": of_regimes,
    "speed_profile": of_tasks,
    "critical_difference": of_data_sets,
}

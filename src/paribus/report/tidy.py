"""Tidy values of a study, which figures and the report page draw: plain values by arm, and no layout."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from paribus.evidence.targets import TargetTimes
from paribus.report.study import Study, batch_size
from paribus.stats.choice import best_point
from paribus.stats.intervals import Mean, mean_interval
from paribus.stats.paired import paired_difference

Of = TypeVar("Of")
TIMES = ("ms_per_update", "seconds_per_epoch")
FACTORS = (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)  # of the fastest arm, which profiles are read at
SATURATED = 1.5  # an update that costs this many times one of the smallest batch


@dataclass(frozen=True)
class Compared:
    """An arm minus its baseline over n shared seeds: mean, interval [low, high] and Holm's p, as recorded.

    verdicts: (hypothesis, outcome) of those that are about this difference; the hypothesis is "" where the ablation
    states none.
    """

    arm: str
    n: int
    mean: float
    low: float
    high: float
    p_holm: float = math.nan
    verdicts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Step:
    """One arm of a path: its mean, and what it gained on the step before, with the gain's interval [low, high]."""

    arm: str
    mean: float
    gain: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Crossed:
    """Two factors of a grid: the mean and t interval over seeds at each of their places, as recorded.

    rows, columns: name and levels. means: by (row, column), of the places that have arms. averaged: the other factors,
    over whose levels each place is averaged. p: of the interaction, adjusted by Holm over all terms. scores: by place,
    of each seed.
    """

    rows: tuple[str, tuple[str, ...]]
    columns: tuple[str, tuple[str, ...]]
    means: Mapping[tuple[int, int], Mean]
    averaged: tuple[str, ...]
    p: float
    scores: Mapping[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return next(iter(self.means.values())).n

    @property
    def turned(self) -> bool:
        """Where lines are drawn, the factor with more levels lies across, and each level of the other is a line."""
        return len(self.rows[1]) > len(self.columns[1])

    @property
    def across(self) -> tuple[str, tuple[str, ...]]:
        return self.rows if self.turned else self.columns

    @property
    def lines(self) -> tuple[str, tuple[str, ...]]:
        return self.columns if self.turned else self.rows

    @property
    def line_names(self) -> list[str]:
        return [f"{self.lines[0]}={level}" for level in self.lines[1]]

    def at(self, line: int, across: int) -> Mean:
        """The mean at a place of a line; of no runs, where the grid has no arm there."""
        return self.means.get((across, line) if self.turned else (line, across), mean_interval([]))

    def seeds(self, line: int, across: int) -> tuple[float, ...]:
        """What that mean is of, by seed."""
        return self.scores.get((across, line) if self.turned else (line, across), ())


@dataclass(frozen=True)
class Searched:
    """The trials of a search over one of its keys.

    log: whether the key is drawn on a logarithmic range. trials: arm -> of each trial, the value and the scores of its
    tuning seeds, nan where they diverged. chosen: arm -> the place of the winner among them.
    """

    key: str
    log: bool
    trials: Mapping[str, Sequence[tuple[float, Sequence[float]]]]
    chosen: Mapping[str, int]


def factor_name(key: str) -> str:
    """Of a key, as it is drawn: optimizer.weight_decay is weight decay."""
    return key.rpartition(".")[2].replace("_", " ") or key


def factor_words(key: str, level: str) -> str:
    """A level with the name of its factor: momentum 0.9, batch size 64."""
    return f"{factor_name(key)} {_level(key, level)}"


def arm_words(study: Study) -> dict[str, str]:
    """arm -> what it is called in figures. A number has the name of its factor, and so has each level of several
    factors; what the file itself calls an arm stays. Where two would be called alike, all keep their names."""
    found = {}
    for arm, levels in study.plan.levels.items():
        own = ", ".join(f"{key}={level}" for key, level in levels.items())
        if arm == own and levels:
            found[arm] = ", ".join(factor_words(key, level) for key, level in levels.items())
        elif (
            len(levels) == 1
            and arm == next(iter(levels.values()))
            and as_number(*next(iter(levels.items()))) is not None
        ):
            found[arm] = factor_words(*next(iter(levels.items())))
        else:
            found[arm] = in_words(arm)
    return found if len(set(found.values())) == len(found) else {}


def in_words(name: str) -> str:
    """+ norm=batch, of a path, is + norm batch."""
    return _SETTING.sub(lambda each: factor_words(each[1], each[2]), name)


def as_number(key: str, level: str) -> float | None:
    """That a level is, and b64 of a batch size is 64; None where it is none."""
    try:
        found = float(_level(key, level))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _level(key: str, level: str) -> str:
    return level[1:] if factor_name(key) == "batch size" and re.fullmatch(r"b\d+", level) else level


_SETTING = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)=([^\s,]+)")  # + norm=batch, of a path


@dataclass(frozen=True)
class OverNumbers:
    """The metric over a factor whose levels are numbers.

    means, seeds: line (a setting of the other factors, in words) -> level -> mean, and the values that it is of.
    """

    key: str
    means: Mapping[str, Mapping[float, Mean]]
    seeds: Mapping[str, Mapping[float, tuple[float, ...]]]


def over_numbers(study: Study) -> OverNumbers | None:
    """Over the factor with most levels of those that are numbers; None where none has three."""
    if study.table is None or study.ablation is None or study.ablation.design not in ("grid", "one_factor"):
        return None
    cells = {row.arm: row.cells[study.metric] for row in study.table.rows}
    levels = {arm: of for arm, of in study.plan.levels.items() if arm in cells}
    numbers: dict[str, set[float]] = {}
    for key in dict.fromkeys(key for of in levels.values() for key in of):
        found = [as_number(key, of[key]) if key in of else None for of in levels.values()]
        if None not in found:
            numbers[key] = {each for each in found if each is not None}
    key = max(numbers, key=lambda each: len(numbers[each]), default="")
    if len(numbers.get(key, ())) < 3:
        return None
    means: dict[str, dict[float, Mean]] = {}
    seeds: dict[str, dict[float, tuple[float, ...]]] = {}
    for arm, of in levels.items():
        line = ", ".join(factor_words(other, level) for other, level in of.items() if other != key) or "all"
        at = as_number(key, of[key])
        if at is None or at in means.setdefault(line, {}):
            return None
        means[line][at] = cells[arm].mean
        seeds.setdefault(line, {})[at] = tuple(cells[arm].values.values())
    return OverNumbers(key, means, seeds)


def crossed(study: Study) -> Crossed | None:
    """The two factors of a grid whose interaction has the largest share; None where the design is no grid."""
    grid = study.grid
    if isinstance(grid, str):
        return None
    pairs = [each for each in grid.found.effects if len(each.term) == 2]
    if not pairs:
        return None
    chosen = max(pairs, key=lambda each: -1.0 if math.isnan(each.share) else each.share)
    factors = list(grid.factors.items())
    (rows, down), (columns, across) = ((factors[k][0], in_order(factors[k][1])) for k in chosen.term)
    scores = {}
    for place in itertools.product(range(len(down)), range(len(across))):
        there = (grid.places[:, chosen.term] == (down[place[0]][0], across[place[1]][0])).all(1)
        if there.any():
            scores[place] = tuple(grid.scores[:, there].mean(1).tolist())
    means = {place: mean_interval(own, grid.level) for place, own in scores.items()}
    others = tuple(name for k, (name, _) in enumerate(factors) if k not in chosen.term)
    first, second = (tuple(level for _, level in of) for of in (down, across))
    return Crossed((rows, first), (columns, second), means, others, chosen.p, scores)


_NUMBERED = re.compile(r"(\D*?)([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(\D*)", re.I)


def in_order(levels: Sequence[str]) -> list[tuple[int, str]]:
    """The levels of a factor with their places, from the smallest number to the largest where they are numbers with the
    same words around them, such as b4, b32 and b128; others as the file has them."""
    listed = list(enumerate(levels))
    found = [each for level in levels if (each := _NUMBERED.fullmatch(level))]
    if len(found) < len(levels) or len({(each[1], each[3]) for each in found}) > 1:
        return listed
    return sorted(listed, key=lambda each: float(found[each[0]][2]))


def seed_values(study: Study) -> dict[str, Mapping[Hashable, float]]:
    """arm -> what pairs runs (their seed) -> value of the metric."""
    return {row.arm: row.cells[study.metric].values for row in study.table.rows} if study.table else {}


def comparisons(study: Study) -> list[Compared]:
    """The arms that have a paired difference from the baseline, in the order of the table."""
    found, verdicts = [], arm_verdicts(study)
    for row in study.table.rows if study.table else ():
        cell = row.cells[study.metric]
        if (d := cell.difference) is not None and math.isfinite(d.mean):
            said = tuple(verdicts.get(row.arm, ()))
            found.append(Compared(row.arm, d.n, d.mean, d.low, d.high, cell.p_holm, said))
    return found


def arm_verdicts(study: Study) -> dict[str, list[tuple[str, str]]]:
    """arm -> (hypothesis, outcome) of those that compare just this arm with the baseline in the table's metric."""
    found: dict[str, list[tuple[str, str]]] = {}
    for each in study.findings:
        if len(each.pairs) == 1 and study.table and each.hypothesis.metric == study.metric:
            arm, versus = each.pairs[0]
            if versus == study.table.baseline.arm:
                stated = study.ablation is not None and bool(study.ablation.hypotheses)
                found.setdefault(arm, []).append((each.hypothesis.id if stated else "", each.verdict.outcome))
    return found


def tuned_scores(study: Study) -> tuple[str, dict[str, dict[float, list[float]]]] | None:
    """The tuned key with the most values, and arm -> value -> scores, at the best point of the other keys."""
    numeric: dict[str, set[float]] = {}
    for trial in study.trials:
        for key, value in trial.point.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                numeric.setdefault(key, set()).add(float(value))
    key = max(numeric, key=lambda name: len(numeric[name]), default="")
    if len(numeric.get(key, ())) < 2:
        return None
    points: dict[str, dict[float, dict[str, list[float]]]] = {}
    for trial in study.trials:
        if key in trial.point:
            others = repr({k: v for k, v in trial.point.items() if k != key})
            at = points.setdefault(trial.arm, {}).setdefault(float(trial.point[key]), {})
            at.setdefault(others, []).append(trial.score)
    higher = bool(study.select_on.metric.higher)
    taken = _on_the_path(points, study)
    return key, {
        arm: {value: list(at.values())[best_point(list(at.values()), higher)] for value, at in sorted(of.items())}
        for arm, of in taken.items()
    }


def _on_the_path(of: Mapping[str, Of], study: Study) -> Mapping[str, Of]:
    """Of a path, the candidates that it took, by the names of its steps; of other designs, all arms."""
    if study.ablation is None or study.ablation.design != "path":
        return of
    steps = {arm: f"step {k}: {arm.removeprefix('+ ')}" if k else arm for k, arm in enumerate(study.plan.arms)}
    return {arm: of[tried] for arm, tried in steps.items() if tried in of} or of


def searched(study: Study) -> list[Searched]:
    """The trials over each numeric key of a search; none for a grid, nor where every arm searches one key alone, which
    has a curve (`tuned_scores`)."""
    ablation = study.ablation
    if ablation is None or ablation.search is None:
        return []
    points: dict[str, dict[str, tuple[Mapping[str, Any], list[float]]]] = {}
    for trial in study.trials:
        points.setdefault(trial.arm, {}).setdefault(repr(trial.point), (trial.point, []))[1].append(trial.score)
    ranges = {**ablation.tune, **{key: each for rule in ablation.when for key, each in rule.tune.items()}}
    varied = {
        arm: [key for key in ranges if len({repr(point.get(key)) for point, _ in of.values()}) > 1]
        for arm, of in points.items()
    }
    if all(len(keys) < 2 for keys in varied.values()):
        return []
    found = []
    for key, each in ranges.items():
        if each.kind == "choice":
            continue
        trials = {
            arm: [(float(point[key]), scores) for point, scores in of.values()]
            for arm, of in points.items()
            if key in varied[arm]
        }
        chosen = {arm: tuned.index for arm, tuned in study.plan.tuned.items() if arm in trials}
        found.append(Searched(key, each.kind in ("log", "times"), trials, chosen))
    return [each for each in found if each.trials]


def _series(arm: str, study: Study) -> str:
    """Arms that differ only in their batch size are one line, called by what else they differ in."""
    of = {
        other: {name: level for name, level in levels.items() if name not in ("batch_size", "data.batch_size")}
        for other, levels in study.plan.levels.items()
    }
    differing = [name for name in of.get(arm, {}) if len({levels.get(name) for levels in of.values()}) > 1]
    return ", ".join(f"{name}={of[arm][name]}" for name in differing) or "all"


def grid_scores(study: Study) -> dict[str, list[float]]:
    """arm -> score of each grid point: the mean over its tuning seeds, diverged runs at chance. Empty where halving has
    left the best ones, which are no sample of the points.

    Where nobody knows what guessing scores, they are as bad as the worst run of all.
    """
    if study.plan.ablation is not None and study.plan.ablation.search and study.plan.ablation.search.halving:
        return {}
    finite = [trial.at_chance for trial in study.trials if math.isfinite(trial.at_chance)]
    worst = (max if study.select_on.metric.higher is False else min)(finite, default=math.nan)
    points: dict[str, dict[str, list[float]]] = {}
    for trial in study.trials:
        if trial.point and finite:
            own = trial.at_chance if math.isfinite(trial.at_chance) else worst
            points.setdefault(trial.arm, {}).setdefault(repr(trial.point), []).append(own)
    return {arm: [mean_interval(own).mean for own in of.values()] for arm, of in points.items()}


def run_scores(study: Study) -> dict[str, list[float]]:
    """arm -> the metric of each run that has ended, nan where it diverged; arms without one are left out."""
    found = {
        arm: [run.metrics.get(study.metric, math.nan) if run.status == "done" else math.nan for run in runs]
        for arm, runs in study.runs("done", "diverged").items()
    }
    return {arm: scores for arm, scores in found.items() if scores}


def batch_times(study: Study) -> dict[str, dict[str, dict[int, list[float]]]]:
    """ms_per_update and seconds_per_epoch -> series -> batch size -> time of each run."""
    times: dict[str, dict[str, dict[int, list[float]]]] = {metric: {} for metric in TIMES}
    for arm, runs in study.runs("done").items():
        for run in runs:
            size = batch_size(run)
            if size is not None and all(math.isfinite(run.timing.get(metric, math.nan)) for metric in TIMES):
                for metric, of in times.items():
                    of.setdefault(_series(arm, study), {}).setdefault(size, []).append(run.timing[metric])
    return times


Steps = tuple[list[float], list[float], list[float], list[float]]


def arrivals(times: TargetTimes, arm: str) -> Steps:
    """Times, and behind each the share of an arm's runs that have reached a target, with its band: from none at zero to
    the end of its budget. Nothing of an arm without runs."""
    curve, unit = times.arms[arm].curve, times.unit
    if not curve.n:
        return [], [], [], []
    ends = [way.end[unit] for way in times.arms[arm].ways if way is not None and way.whole]
    end = max([*ends, *curve.times, times.horizons.get(unit, 0.0)])
    shares = [1.0, *curve.share], [curve.before[1], *curve.high], [curve.before[0], *curve.low]
    share, low, high = ([1 - value for value in (*each, each[-1])] for each in shares)
    return [0.0, *curve.times, end], share, low, high


def task_times(studies: Sequence[Study]) -> tuple[list[str], dict[str, list[float]]]:
    """Tasks, each a target of a study, and arm -> its median time to each, infinite where fewer than half of its runs
    reach it; of the arms that all tasks have."""
    tasks = [(f"{study.name}, {each.metric} {each.value:g}", each) for study in studies for each in study.times]
    shared = [arm for arm in tasks[0][1].arms if all(arm in each.arms for _, each in tasks)] if tasks else []
    return [name for name, _ in tasks], {arm: [each.arms[arm].median.time for _, each in tasks] for arm in shared}


def profile_end(ratios: Mapping[str, Sequence[float]]) -> float:
    """The factor up to which a profile is drawn."""
    finite = [r for of in ratios.values() for r in of if math.isfinite(r)]
    return min(FACTORS[-1], 1.1 * max([*finite, 1.5]))


def profile_steps(ratios: Sequence[float], right: float) -> tuple[list[float], list[float]]:
    """Factors from 1 to `right`, and behind each the share of tasks on which an arm is within it."""
    factors = sorted({1.0, *(float(r) for r in ratios if r <= right), right})
    return factors, [sum(r <= factor for r in ratios) / len(ratios) for factor in factors]


def path_steps(study: Study) -> list[Step]:
    """The arms of a path design, each with its paired gain on the one before; none for other designs."""
    ablation = study.ablation
    values = {arm: of for arm, of in seed_values(study).items() if of}
    if ablation is None or ablation.design != "path" or not values:
        return []
    means = {arm: mean_interval(list(of.values())).mean for arm, of in values.items()}
    steps = [Step(arm, means[arm]) for arm in list(means)[:1]]
    for before, arm in itertools.pairwise(means):
        shared = [seed for seed in values[arm] if seed in values[before]]
        gain = paired_difference([values[arm][s] for s in shared], [values[before][s] for s in shared])
        steps.append(Step(arm, means[arm], gain.mean, gain.low, gain.high))
    return steps

"""The planner: from an ablation or a sweep to its cells.

Which cells there are can depend on results: an arm's reporting runs use the winner of its tuning grid, and the next
step of a path starts from the best arm of the step before. So a plan is made from the records that there are, and made
again when more of them are there, until it has no missing cell.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import fmean
from typing import Any, Literal

from paribus.ablation.ablation_files import place_of
from paribus.ablation.cells import Cell, Plan, Read, Tuned
from paribus.ablation.designs import Arm, Excluded, arm, arms, baseline, equal_budgets, single_changes
from paribus.ablation.distinct import same_runs, why_refused
from paribus.ablation.file import SPLIT, STREAMS, Ablation, AblationError, overrides_of
from paribus.ablation.kept import Scored
from paribus.ablation.parser import parse
from paribus.ablation.sequential import extend
from paribus.base.errors import UserError
from paribus.base.metrics import TIMES
from paribus.base.redaction import redacted_names, redacted_override
from paribus.base.text import near
from paribus.config.compose import group_options, is_group
from paribus.config.composed import Composed
from paribus.config.composer import Composer
from paribus.config.dotted import at
from paribus.config.grammar import key_and_value, parsed
from paribus.stats.choice import Point, best_point, best_points, on_edge
from paribus.stats.grids import Axis, grid
from paribus.stats.spaces import Range, points, space_of
from paribus.store.declared import agreed
from paribus.store.scores import tuning_score


def ablations_of(overrides: Sequence[str], composer: Composer) -> list[Ablation]:
    """The ablation that a command line names, once for each of its regimes; none for a plain command line."""
    composed = composer(overrides)
    section, name = composed.ablation, composed.choices.get("ablation")
    return parse(section, place_of(str(name)) if name else None, composed.task) if section else []


def plan_ablation(
    ablation: Ablation, overrides: Sequence[str], read: Read, composer: Composer, name: str | None = None
) -> Plan:
    """The cells of an ablation. `overrides` is the rest of the command line, `ablation=NAME` included.

    Raises UserError for what no record could mend: unknown options, a command line that sets what the ablation varies.
    """
    return _Planner(ablation, overrides, read, composer, name or ablation.title).plan()


class _Planner:
    def __init__(self, ablation: Ablation, overrides: Sequence[str], read: Read, composer: Composer, name: str):
        self.ablation = ablation
        self.overrides = tuple(overrides)
        self.read = read
        self.composer = composer
        self.result = Plan(name, ablation.metric, ablation=ablation)
        self.reported: dict[str, tuple[Arm, Tuned]] = {}
        self.tried: dict[str, list[str]] = {}  # arm -> its tuning runs
        self.spaces: dict[str, Mapping[str, Range]] = {}  # arm -> what its trials are drawn from
        self.measured: dict[int, Any] = {}  # sections `task` by place in memory, which were looked at

    @functools.cached_property
    def still(self) -> list[str]:
        """What keeps the random streams that do not vary with the seed."""
        return [f"seeds.{stream}=0" for stream in STREAMS if stream not in self.ablation.seeds.vary]

    @functools.cached_property
    def redraw(self) -> list[str]:
        """What makes runs draw their test parts too, unless the recipe says how large they are."""
        return ["++data.test=redraw"] if self.composer(self.overrides).run.data.test is None else []

    def plan(self) -> Plan:
        self.check_levels()
        self.check_command_line()
        if self.ablation.design == "path":
            self.walk()
        else:
            found, self.result.excluded = arms(self.ablation)
            for each in found:
                self.add(each)
            if self.ablation.seeds.looks:
                extend(self.result, self.read, self.further)
            self.refuse_same()
        if self.result.invalid and not self.result.arms:
            raise AblationError(
                f"{self.ablation.source}: {self.result.invalid[0].name}: {self.result.invalid[0].reason}"
            )
        return self.result

    def refuse_same(self) -> None:
        """Raises AblationError for arms that share all their runs."""
        reported = {arm: [cell.id for cell in cells if cell] for arm, cells in self.result.arms.items()}
        if found := same_runs({arm: self.tried.get(arm) or ids for arm, ids in reported.items()}):
            raise AblationError(f"{self.ablation.source}: {why_refused(found)}")

    def check_changes(self, start: Arm, levels: Mapping[str, Any]) -> None:
        """The same for the first changes of a path, before its baseline is trained."""
        runs: dict[str, list[str]] = {}
        for change, changed in [("baseline", levels), *single_changes(self.ablation, levels)]:
            each = start if changed is levels else arm(self.ablation, change, changed)
            if isinstance(each, Arm):
                with suppress(UserError):  # said where it is tried
                    seed = self.ablation.seeds.tune[0]
                    runs[change] = [self.cell(each, point, seed, "tune").id for point in self.points(each)]
        if found := same_runs(runs):
            raise AblationError(f"{self.ablation.source}: {why_refused(found)}")

    def check_levels(self) -> None:
        """Options of groups are known without composing anything."""
        for factor in self.ablation.factors:
            for level in factor.levels:
                self.check_options(f"ablation.factors.{factor.name}", level.sets)
        for number, rule in enumerate(self.ablation.when):
            self.check_options(f"ablation.when[{number}].set", rule.sets)

    def check_options(self, where: str, sets: Mapping[str, Any]) -> None:
        for key, value in sets.items():
            if not is_group(key):
                continue
            options = group_options(key)
            for option in value if isinstance(value, list) else [value]:
                if option not in options:
                    raise AblationError(
                        f"{self.ablation.source}: {where}: {key}={option} is not an option.{near(option, options)} "
                        f"Options: {', '.join(options)}"
                    )

    def check_command_line(self) -> None:
        varied = {key for factor in self.ablation.factors for level in factor.levels for key in level.sets}
        varied |= {key for rule in self.ablation.when for key in (*rule.sets, *rule.tune)} | set(self.ablation.tune)
        varied |= {"data.split_seed"} if SPLIT in self.ablation.seeds.vary else set()
        for text in self.overrides:
            key = parsed(text).key_or_group
            if key in varied or key == "seed" or key.startswith("seeds."):
                raise UserError(
                    f"{text}: the ablation {self.ablation.name} varies or tunes {key} itself, so "
                    "you can't override it. Leave it out"
                    + (
                        ", or write ablation.seeds=NUMBER"
                        if key.startswith("seed")
                        else f", or change {self.ablation.source}"
                    )
                )

    def add(self, each: Arm) -> None:
        """The tuning runs of an arm, and its reporting runs at the winner."""
        try:
            tuned = self.tune(each, self.points(each)) if each.tune else Tuned({}, math.nan, ())
            self.report(each, tuned)
        except AblationError:
            raise
        except UserError as error:
            self.result.invalid.append(Excluded(each.name, str(error)))

    def points(self, each: Arm) -> list[Point]:
        composed = self.composer((*self.overrides, *each.overrides))
        where = f"{self.ablation.source}: ablation.tune{'.space' if self.ablation.search else ''}"
        own = {}
        for key in each.tune:
            try:
                own[key] = at(composed.resolved, key)
            except KeyError:
                raise AblationError(f"{where}.{key} is not a key of {each.name}'s configuration") from None
        try:
            if self.ablation.search is None:
                return list(grid({key: axis for key, axis in each.tune.items() if isinstance(axis, Axis)}, own))
            space = space_of({key: of for key, of in each.tune.items() if isinstance(of, Range)}, own)
            self.spaces[each.name] = space
        except ValueError as error:
            raise AblationError(f"{where}.{error} ({each.name})") from None
        try:
            return list(points(space, self.ablation.search))
        except ValueError as error:
            raise AblationError(f"{where} {error} ({each.name})") from None

    def tune(self, each: Arm, points: Sequence[Point]) -> Tuned | None:
        """The best point; None while some of its runs have no result."""
        higher = bool(self.ablation.select_on.metric.higher)
        rungs = self.ablation.search.rungs if self.ablation.search is not None else [(len(points), 1)]
        scores: list[list[float]] = []
        trials: list[tuple[Point, tuple[str, ...]]] = []
        self.tried[each.name] = []
        for number, divisor in rungs:
            if trials:  # the best of the rung before
                points = [points[k] for k in best_points(scores, higher, number)]
            part = self.part_of_budget(each, divisor)
            scores, trials = [], []
            for point in points:
                cells = [self.cell(each, point, seed, "tune", part) for seed in self.ablation.seeds.tune]
                self.result.tuning += cells
                trials.append((point, tuple(cell.id for cell in cells)))
                scores.append([value for cell in cells if (value := self.score(cell)) is not None])
            self.tried[each.name] += [id for _, ids in trials for id in ids]
            if any(len(values) < len(self.ablation.seeds.tune) for values in scores):
                return None
        return winner(trials, scores, higher, self.spaces.get(each.name, {}))

    def part_of_budget(self, each: Arm, divisor: int) -> tuple[str, ...]:
        """The override of a rung of halving: whole trainings that are shorter, with schedules of their own.

        Raises AblationError where nothing would be left to train.
        """
        if divisor == 1:
            return ()
        length = self.composer((*self.overrides, *each.overrides)).run.length
        amount = length.amount / divisor if length.unit == "seconds" else length.amount // divisor
        if amount <= 0:
            raise AblationError(
                f"{self.ablation.source}: ablation.tune.halving begins with 1/{divisor} of the budget, and "
                f"budget.{length.unit}={length.amount} leaves nothing of it. Give the budget in updates, or take "
                "fewer trials"
            )
        return (f"budget.{length.unit}={amount}",)

    def score(self, cell: Cell) -> float | None:
        record = self.read(cell.id)
        agreed(metric := self.ablation.select_on, [record])
        if record is not None and record.status == "done" and not (metric in record.metrics or metric in record.timing):
            self.result.unmeasured.append(cell.id)
            return None
        return tuning_score(record, metric)

    def report(self, each: Arm, tuned: Tuned | None) -> None:
        seeds = self.ablation.seeds.report
        cells: list[Cell | None] = [None] * len(seeds)
        if tuned is not None:
            cells = [self.cell(each, self.choice(tuned, k), seed, "report") for k, seed in enumerate(seeds)]
        self.result.arms[each.name] = cells
        self.result.levels[each.name] = {factor: level.name for factor, level in each.levels.items()}
        if tuned is None:
            self.result.complete = False
            return
        self.reported[each.name] = (each, tuned)
        if tuned.point:
            self.result.tuned[each.name] = tuned
        self.further(each.name, len(seeds), kept=True)

    def further(self, name: str, n: int, kept: bool) -> None:
        """Adds the reporting runs of an arm up to n seeds: at its winner, and at the other points that it keeps."""
        each, tuned = self.reported[name]
        seeds, cells = self.ablation.seeds.reporting, self.result.arms[name]
        cells += [self.cell(each, self.choice(tuned, k), seeds[k], "report") for k in range(len(cells), n)]
        for number in Scored(self.result, self.read).kept(name, n)[1:] if kept else ():
            row = self.result.kept.setdefault(name, {}).setdefault(number, [])
            row += [self.cell(each, tuned.trials[number][0], seed, "report") for seed in seeds[len(row) : n]]

    def choice(self, tuned: Tuned, number: int) -> Point:
        """The winner for a reporting seed: one for all, or that of the seed's own tuning."""
        if not tuned.trials or self.ablation.seeds.tuning != "nested":
            return tuned.point
        own = self.ablation.seeds.tuning_of(number)
        metric = self.ablation.select_on
        scores = [[tuning_score(self.read(id), metric) or 0.0 for id in ids[own]] for _, ids in tuned.trials]
        return tuned.trials[best_point(scores, bool(metric.metric.higher))][0]

    def cell(
        self, each: Arm, point: Point, seed: int, purpose: Literal["tune", "report"], part: tuple[str, ...] = ()
    ) -> Cell:
        split = [f"data.split_seed={seed}", *self.redraw] if SPLIT in self.ablation.seeds.vary else []
        overrides = (*self.overrides, *each.overrides, *overrides_of(point), f"seed={seed}", *self.still, *split, *part)
        id, composed = self.composer.run(overrides)
        self.check_measured(composed)
        return Cell(each.name, seed, purpose, overrides, id, composed)

    def check_measured(self, composed: Composed) -> None:
        """Raises UserError for an arm whose task does not measure what the ablation compares, or declares it anew."""
        if composed.task_mark in self.measured:
            return
        tuned = self.ablation.tune or self.ablation.design == "path"
        for metric in dict.fromkeys([self.ablation.metric, *([self.ablation.select_on] if tuned else [])]):
            if metric not in TIMES and not composed.task.measures(metric):
                raise UserError(f"{metric} is not measured by {composed.task.target}. {composed.task.nearest(metric)}")
            if (own := composed.task.metrics.of(metric)) != metric.metric:
                raise UserError(f"{metric} must be declared alike in all arms, got {own} and {metric.metric}")
        self.measured[composed.task_mark] = composed

    def walk(self) -> None:
        """Greedy: each step takes the change with the best mean of `select_on` over tuning seeds, while it helps."""
        higher = bool(self.ablation.select_on.metric.higher)
        levels = baseline(self.ablation)
        here = arm(self.ablation, "baseline", levels)
        assert isinstance(here, Arm), "no rule excludes the baseline"
        self.check_changes(here, levels)
        standing = self.tune(here, self.points(here))
        self.report(here, standing)
        step = 0
        while standing is not None:
            step += 1
            tried: list[tuple[str, Arm, dict[str, Any], Tuned | None]] = []
            before = self.tried[here.name]
            for change, changed in single_changes(self.ablation, levels):
                candidate = arm(self.ablation, f"step {step}: {change}", changed)
                if isinstance(candidate, Excluded):
                    self.result.excluded.append(candidate)
                    continue
                equal_budgets(self.ablation, [here, candidate])
                try:
                    tuned = self.tune(candidate, self.points(candidate))
                    if step > 1 and self.tried[candidate.name] == before:
                        self.result.excluded.append(Excluded(candidate.name, "it changes nothing here"))
                    else:
                        tried.append((change, candidate, changed, tuned))
                except AblationError:
                    raise
                except UserError as error:
                    self.result.invalid.append(Excluded(candidate.name, str(error)))
            if any(tuned is None for *_, tuned in tried):
                self.result.complete = False
                return
            scores = [[tuned.score] for *_, tuned in tried if tuned is not None]
            best = best_point([[standing.score], *scores], higher)
            if best == 0:
                return
            change, chosen, levels, standing = tried[best - 1]
            assert standing is not None
            here = chosen
            name = f"+ {change}" if f"+ {change}" not in self.result.arms else f"+ {change} (step {step})"
            self.report(Arm(name, chosen.levels, chosen.sets, chosen.tune), standing)


def winner(
    trials: Sequence[tuple[Point, tuple[str, ...]]],
    scores: Sequence[Sequence[float]],
    higher: bool,
    space: Mapping[str, Range],
) -> Tuned:
    """The best of the trials by their scores, one list for each. space: that they were drawn from; empty for a grid."""
    tried = [point for point, _ in trials]
    best = best_point(scores, higher)
    edges = tuple(on_edge(tried[best], tried, tried[best], space))
    return Tuned(tried[best], fmean(scores[best]), edges, tuple(trials), best, space)


def plan_sweep(combinations: Sequence[Sequence[str]], keys: Sequence[str], composer: Composer) -> Plan:
    """The cells of a plain sweep. It is called by the `keys` that it varies, but for seeds, and so are its arms."""
    shown = [key for key in keys if key != "seed" and not key.startswith("seeds.")]
    plan = Plan(" x ".join(shown) or "seeds")
    seen: set[tuple[str, str]] = set()
    varied = [[pair for pair in map(key_and_value, overrides) if pair[0] in shown] for overrides in combinations]
    called = {key: redacted_names([dict(pairs)[key] for pairs in varied if key in dict(pairs)], key) for key in shown}
    for overrides, pairs in zip(combinations, varied, strict=True):
        levels = [(key, called[key][value]) for key, value in pairs]
        name = ", ".join(level if len(shown) == 1 else f"{key}={level}" for key, level in levels)
        try:
            id, composed = composer.run(overrides)
        except UserError as error:
            plan.invalid.append(Excluded(name or " ".join(map(redacted_override, overrides)), str(error)))
            continue
        cell = Cell(name, composed.run.seed, "report", tuple(overrides), id, composed)
        if (name, cell.id) in seen:
            plan.duplicates.append(cell)
            continue
        seen.add((name, cell.id))
        plan.arms.setdefault(name, []).append(cell)
    if found := same_runs({arm: [cell.id for cell in cells if cell] for arm, cells in plan.arms.items()}):
        raise UserError(why_refused(found))
    return plan

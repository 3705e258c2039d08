"""Designs: the arms of an ablation, the assignments of levels that are compared, and their names."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from paribus.ablation.file import Ablation, AblationError, Level, overrides_of
from paribus.stats.grids import Axis
from paribus.stats.spaces import Range


@dataclass(frozen=True)
class Arm:
    """One assignment of levels: a row of the table.

    sets: what its levels, the rules of `when` and the regime set.
    tune: what its learning rate and the like are tuned over.
    """

    name: str
    levels: Mapping[str, Level]
    sets: Mapping[str, Any]
    tune: Mapping[str, Axis | Range]

    @functools.cached_property
    def overrides(self) -> tuple[str, ...]:
        return tuple(overrides_of(self.sets))


@dataclass(frozen=True)
class Excluded:
    """An arm that is not trained, and why."""

    name: str
    reason: str


def arms(ablation: Ablation) -> tuple[list[Arm], list[Excluded]]:
    """The arms of every design but path, the baseline first, and those that `when` excludes.

    Raises AblationError for rules that contradict each other or apply to no arm, and unless all arms are tuned equally
    much.
    """
    built = [arm(ablation, name, levels) for name, levels in _assignments(ablation)]
    applied = {number for _, levels in _assignments(ablation) for number in _applying(ablation, levels)}
    for number in range(len(ablation.when)):
        if number not in applied:
            raise AblationError(
                f"{ablation.source}: ablation.when[{number}] matches no arm of the design {ablation.design}"
            )
    found = [each for each in built if isinstance(each, Arm)]
    equal_budgets(ablation, found)
    return found, [each for each in built if isinstance(each, Excluded)]


def arm(ablation: Ablation, name: str, levels: Mapping[str, Level]) -> Arm | Excluded:
    """The arm with these levels, after the rules of `when`."""
    sets: dict[str, Any] = dict(ablation.sets)
    for level in levels.values():
        sets.update(level.sets)
    tune = dict(ablation.tune)
    by: dict[str, int] = {}
    for number in _applying(ablation, levels):
        rule = ablation.when[number]
        if rule.exclude is not None:
            return Excluded(name, rule.exclude)
        for key, value in (*rule.sets.items(), *rule.tune.items()):
            if key in by and (sets.get(key) != value if key in rule.sets else tune[key] != value):
                raise AblationError(
                    f"{ablation.source}: ablation.when[{by[key]}] and ablation.when[{number}] contradict each other: "
                    f"both decide {key} for {name}"
                )
            by[key] = number
        sets.update(rule.sets)
        tune.update(rule.tune)
    return Arm(name, levels, sets, tune)


def baseline(ablation: Ablation) -> dict[str, Level]:
    return {factor.name: factor.levels[0] for factor in ablation.factors}


def single_changes(ablation: Ablation, levels: Mapping[str, Level]) -> Iterator[tuple[str, dict[str, Level]]]:
    """(factor=level, assignment) for everything that differs from `levels` in one factor."""
    for factor in ablation.factors:
        for level in factor.levels:
            if level is not levels[factor.name]:
                yield f"{factor.name}={level.name}", {**levels, factor.name: level}


def equal_budgets(ablation: Ablation, compared: list[Arm]) -> None:
    """Raises AblationError unless all arms are tuned over equally many points: more tries would win by luck. Those of a
    search are."""
    if ablation.search is not None:
        return
    sizes = {each.name: prod(int(axis.size) for axis in each.tune.values()) for each in compared}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise AblationError(
            f"{ablation.source}: ablation.tune must have the same number of points for every arm, got {listed}"
        )


def _applying(ablation: Ablation, levels: Mapping[str, Level]) -> list[int]:
    return [number for number, rule in enumerate(ablation.when) if rule.applies(levels)]


def _assignments(ablation: Ablation) -> list[tuple[str, dict[str, Level]]]:
    names = [factor.name for factor in ablation.factors]
    first = baseline(ablation)
    if ablation.design == "grid":
        products = itertools.product(*(factor.levels for factor in ablation.factors))
        return [
            (_spelled(levels), levels) for levels in (dict(zip(names, product, strict=True)) for product in products)
        ]
    if ablation.design == "paired":
        rows = zip(*(factor.levels for factor in ablation.factors), strict=True)
        return [(_spelled(levels), levels) for levels in (dict(zip(names, row, strict=True)) for row in rows)]
    if ablation.design == "leave_one_out":
        without = [(f"without {factor.name}", {**first, factor.name: factor.levels[1]}) for factor in ablation.factors]
        nothing = {factor.name: factor.levels[1] for factor in ablation.factors}
        return [("full", first), *without, *([("without all", nothing)] if len(names) > 1 else [])]
    if len(names) == 1:
        return [(level.name, {names[0]: level}) for level in ablation.factors[0].levels]
    return [("baseline", first), *single_changes(ablation, first)]


def _spelled(levels: Mapping[str, Level]) -> str:
    if len(levels) == 1:
        return next(iter(levels.values())).name
    return ", ".join(f"{name}={level.name}" for name, level in levels.items())

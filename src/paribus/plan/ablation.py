"""An ablation file: what changes, what stays equal, and how often. Expands to arms and cells."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.errors import UserError

DESIGNS = ("one_factor", "grid")
_KEYS = {"name", "design", "factors", "seeds", "metric", "baseline", "claim"}


@dataclass(frozen=True)
class Arm:
    """One assignment of levels: a row of the table."""

    name: str
    levels: Mapping[str, Any]

    def overrides(self) -> list[str]:
        return [f"{key}={override_value(level)}" for key, level in self.levels.items()]


@dataclass(frozen=True)
class Ablation:
    """The content of conf/ablation/NAME.yaml.

    one_factor: from the baseline, one factor at a time takes each of its other levels.
    grid: every combination of levels.
    The first level of a factor is the baseline's, unless `baseline` names another.
    """

    name: str
    design: str
    factors: Mapping[str, Sequence[Any]]
    seeds: Sequence[int]
    metric: str = "test/acc"
    baseline: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def parse(section: Mapping[str, Any]) -> Ablation:
        """Raises UserError that names the key for anything that is missing, unknown or of the wrong form."""
        where = f"ablation {section.get('name', '(unnamed)')}"
        if unknown := sorted(set(section) - _KEYS):
            raise UserError(f"{where}: unknown key {', '.join(unknown)}. Known: {', '.join(sorted(_KEYS))}")
        name, factors = section.get("name"), section.get("factors")
        if not isinstance(name, str) or not name:
            raise UserError(f"{where}: ablation.name must be a word, got {name!r}")
        design = section.get("design", "one_factor")
        if design not in DESIGNS:
            raise UserError(f"{where}: ablation.design must be one of {', '.join(DESIGNS)}, got {design!r}")
        if not isinstance(factors, Mapping) or not factors:
            raise UserError(f"{where}: ablation.factors must map config keys to lists of levels, got {factors!r}")
        for key, levels in factors.items():
            if not isinstance(levels, Sequence) or isinstance(levels, str) or not levels:
                raise UserError(f"{where}: ablation.factors.{key} must be a list of at least one level, got {levels!r}")
            if len(set(map(str, levels))) < len(levels):
                raise UserError(f"{where}: ablation.factors.{key} names a level twice: {list(levels)}")
        seeds = section.get("seeds", 3)
        if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
            seeds = list(range(seeds))
        if (
            not isinstance(seeds, Sequence)
            or isinstance(seeds, str)
            or not seeds
            or any(not isinstance(seed, int) or isinstance(seed, bool) for seed in seeds)
            or len(set(seeds)) < len(seeds)
        ):
            raise UserError(
                f"{where}: ablation.seeds must be a number of seeds or a list of different seeds, got {seeds!r}"
            )
        baseline = section.get("baseline") or {}
        for key, level in baseline.items():
            if key not in factors or level not in factors[key]:
                raise UserError(f"{where}: ablation.baseline.{key}={level} is not a level of ablation.factors")
        metric = section.get("metric", "test/acc")
        return Ablation(name, design, {str(k): list(v) for k, v in factors.items()}, list(seeds), metric, baseline)

    def arms(self) -> list[Arm]:
        """The baseline first."""
        base = {key: self.baseline.get(key, levels[0]) for key, levels in self.factors.items()}
        if self.design == "grid":
            ordered = [[base[key], *(x for x in levels if x != base[key])] for key, levels in self.factors.items()]
            chosen = [dict(zip(self.factors, levels, strict=True)) for levels in itertools.product(*ordered)]
        else:
            others = [
                {**base, key: level} for key, levels in self.factors.items() for level in levels if level != base[key]
            ]
            chosen = [base, *others]
        return [Arm(self._label(levels, base), levels) for levels in chosen]

    def _label(self, levels: Mapping[str, Any], base: Mapping[str, Any]) -> str:
        if len(self.factors) == 1:
            [level] = levels.values()
            return level_name(level)
        if self.design == "one_factor":
            changed = {key: level for key, level in levels.items() if level != base[key]}
            return ", ".join(f"{key}={level_name(level)}" for key, level in changed.items()) or "baseline"
        return ", ".join(f"{key}={level_name(level)}" for key, level in levels.items())


def level_name(level: Any) -> str:
    """batch for an option, batch+weight for a combination of options."""
    return "+".join(map(str, level)) if isinstance(level, Sequence) and not isinstance(level, str) else str(level)


def override_value(level: Any) -> str:
    """A level in Hydra's override grammar."""
    if level is None:
        return "null"
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, Mapping):
        return "{" + ",".join(f"{key}:{override_value(item)}" for key, item in level.items()) + "}"
    if isinstance(level, Sequence) and not isinstance(level, str):
        return "[" + ",".join(override_value(item) for item in level) + "]"
    if isinstance(level, str) and not level.replace("_", "").replace("-", "").replace(".", "").isalnum():
        escaped = level.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return str(level)

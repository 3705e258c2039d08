"""An ablation file: what changes, what stays equal, how it is tuned, and how often it is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from paribus.base.errors import UserError
from paribus.base.metrics import FIRST, Key
from paribus.config.grammar import override_value
from paribus.stats.grids import Axis
from paribus.stats.spaces import Range, Search

DESIGNS = ("one_factor", "leave_one_out", "grid", "paired", "path")
STREAMS = ("init", "order", "augmentation")
SPLIT = "split"  # varies with the seed too, if asked for: which samples train, validate and test
TUNING = ("near", "once", "nested")
DIRECTIONS = ("greater", "less")
COMPARED, SELECTED = FIRST.key("test/acc"), FIRST.key("val/acc")  # where a task names no others


class AblationError(UserError, ValueError):
    """An ablation file can't mean anything; the message begins with the file and the key."""


@dataclass(frozen=True)
class Level:
    """One value of a factor. sets: the config keys and groups that it sets."""

    name: str
    value: Any
    sets: Mapping[str, Any]


@dataclass(frozen=True)
class Factor:
    """What varies: a config key or group, or a name whose levels set several keys. The baseline has the first level."""

    name: str
    levels: tuple[Level, ...]

    def level(self, value: Any) -> Level | None:
        """The level of this value or name."""
        return next((level for level in self.levels if value in (level.value, level.name)), None)


@dataclass(frozen=True)
class Rule:
    """One entry of `when`: arms that have one of the levels of every factor are excluded, or adapted."""

    condition: Mapping[str, tuple[str, ...]]
    exclude: str | None
    sets: Mapping[str, Any]
    tune: Mapping[str, Axis | Range]

    def applies(self, levels: Mapping[str, Level]) -> bool:
        return all(levels[factor].name in names for factor, names in self.condition.items())


@dataclass(frozen=True)
class Seeds:
    """Disjoint seeds for tuning and reporting; `vary` are the random streams that they seed, the others stay at 0, and
    `SPLIT` where the data are split by them.

    tuning: near: an arm is reported at each point of its grid that tuning can't tell from the best; once: at the best
        alone; nested: each reporting seed has equally many tuning seeds of its own, in their order.
    looks: sequential seeds: how many of `report` and then of `more` an arm has when its verdict is looked at; only an
        arm whose verdict is open goes on to the next look. shares: of the error, for each look, where a registration
        was amended.
    """

    tune: tuple[int, ...]
    report: tuple[int, ...]
    vary: tuple[str, ...] = STREAMS
    more: tuple[int, ...] = ()
    looks: tuple[int, ...] = ()
    tuning: str = "near"
    shares: tuple[float, ...] = ()

    @property
    def reporting(self) -> tuple[int, ...]:
        """All reporting seeds up to the cap."""
        return (*self.report, *self.more)

    def tuning_of(self, number: int) -> slice:
        """Where in `tune` the seeds lie that belong to a reporting seed, where they are nested."""
        each = len(self.tune) // len(self.reporting)
        return slice(number * each, (number + 1) * each)


@dataclass(frozen=True)
class Hypothesis:
    """`metric` of the arms with the levels `arm` is greater (or less) than of those with the levels `versus`.

    smallest: the smallest effect of interest, in units of the metric; default that of the ablation.
    literature: where the literature stands, in a line.
    of: the id of the claim of another ablation that this one asks elsewhere: of another network, task or data set.
    """

    id: str
    claim: str
    arm: Mapping[str, str]
    versus: Mapping[str, str]
    direction: str
    metric: Key
    smallest: float | None = None
    literature: str = ""
    of: str = ""


@dataclass(frozen=True)
class Ablation:
    """The content of conf/ablation/NAME.yaml, in one regime.

    one_factor: from the baseline, one factor at a time takes each of its other levels.
    leave_one_out: from the full recipe (first levels), one thing at a time is replaced by its second level.
    grid: every combination of levels.
    paired: all factors together take their first levels, then their second, and so on.
    path: greedy walk from the baseline, in each step the one change that helps most.

    claim: what it asks, in words. about: what its regime is, in words.
    tune, search: the axes of a grid, or the ranges that the trials of a search are drawn from.
    targets: values of metrics that runs are to reach, and of which the time is measured, see `evidence.targets`.
    """

    name: str
    design: str
    factors: tuple[Factor, ...]
    seeds: Seeds
    claim: str = ""
    regime: str | None = None
    about: str = ""
    sets: Mapping[str, Any] = field(default_factory=dict)
    when: tuple[Rule, ...] = ()
    tune: Mapping[str, Axis | Range] = field(default_factory=dict)
    search: Search | None = None
    metric: Key = COMPARED
    select_on: Key = SELECTED
    smallest_effect: float | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    targets: Mapping[Key, float] = field(default_factory=dict)
    source: str = "ablation"

    @property
    def title(self) -> str:
        return self.name if self.regime is None else f"{self.name} [{self.regime}]"

    def factor(self, name: str) -> Factor:
        return next(factor for factor in self.factors if factor.name == name)


def level_name(level: Any) -> str:
    """batch for an option, batch+weight for a combination of options, as in YAML for other values."""
    if isinstance(level, Sequence) and not isinstance(level, str):
        return "+".join(map(str, level))
    if isinstance(level, float):
        return f"{level:.12g}"
    return str(level) if isinstance(level, str) else yaml.safe_dump(level).split("\n")[0]


def overrides_of(sets: Mapping[str, Any]) -> Iterator[str]:
    """Config keys and values as a command line."""
    return (f"{key}={override_value(value)}" for key, value in sets.items())

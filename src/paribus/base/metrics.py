"""Declarations of metrics: direction, unit and chance. Whoever asks for one of these asks here, so nothing disagrees.

They are data: a run's configuration declares them, and its record keeps them. No code knows a metric by its name.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from paribus.base.errors import UserError
from paribus.base.typed import typed

Better = Literal["higher", "lower"]
PERCENT = "percent"
SPLITS = ("train", "val", "test")
# What every run records beside its metrics. None of these is good or bad.
TIMES = ("ms_per_update", "seconds_per_epoch", "samples_per_second", "fit_seconds", "total_seconds", "steps", "epochs")
_FORMULA = re.compile(r"(\d+)/classes|log\(classes\)")


@dataclass(frozen=True)
class Metric:
    """What is known of a metric.

    name: without the part of the data: acc, of val/acc and test/acc.
    better: None where neither direction is good, or where nobody has said.
    unit: percent of what is recorded as a fraction and shown in percent; else a word to show, or None.
    chance: what guessing scores; None where that is not known. K/classes and log(classes) wait for the data.
    train: whether it is measured on the training set too, while that is trained on.
    place: the config key that declares it.
    tasks: the options of the group task that it can be measured in; none where that is not said.
    how: the class that computes it, with its arguments, for one that is no task's own; None where that is not known.
    """

    name: str
    better: Better | None = None
    unit: str | None = None
    chance: float | str | None = None
    train: bool = True
    place: str = field(default="", compare=False)
    tasks: tuple[str, ...] = field(default=(), compare=False)
    how: str | None = None

    @property
    def is_percent(self) -> bool:
        """Whether it is recorded as a fraction and shown in percent."""
        return self.unit == PERCENT

    @property
    def falls(self) -> bool:
        """Whether it falls towards zero and has no upper end, as losses do: such values stand on a logarithmic axis."""
        return self.better == "lower" and not self.is_percent

    @property
    def higher(self) -> bool | None:
        """Whether higher is better; None where there is no direction."""
        return None if self.better is None else self.better == "higher"

    @property
    def mode(self) -> Literal["max", "min"]:
        """As configurations of other tools call the direction."""
        return "max" if self.better == "higher" else "min"

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` improves on `than`. nan improves on nothing, and everything else improves on nan."""
        if math.isnan(value) or math.isnan(than):
            return math.isnan(than) and not math.isnan(value)
        assert self.better is not None, f"{self.name} has no direction"
        return value > than if self.better == "higher" else value < than

    def cost(self, value: float) -> float:
        """The value where lower is better, and its negative where higher is: less is always better."""
        return -value if self.higher else value

    def best(self, values: Iterable[float]) -> float:
        """The best of the values; nan only where there is no other."""
        found = math.nan
        for value in values:
            if self.is_better(value, found):
                found = value
        return found

    def declared(self) -> dict[str, Any]:
        """The plain mapping that a record holds."""
        plain = {"better": self.better, "unit": self.unit, "chance": self.chance}
        return plain if self.how is None else {**plain, "how": self.how}


class Key(str):
    """A metric as records call it, such as val/acc_best, with its declaration. Everywhere else it is the text."""

    metric: Metric

    def __new__(cls, key: str, metric: Metric | None = None) -> Key:
        made = super().__new__(cls, key)
        made.metric = metric or Metric(kind(key))
        return made


def kind(metric: str) -> str:
    """val/acc and test/acc_best are both of the kind acc."""
    return metric.rsplit("/", 1)[-1].removesuffix("_best")


def of_test(metric: str) -> bool:
    """Whether a metric is one of the test set: test/mae or, as modules of Lightning log it, test_mae."""
    return re.match(r"test(?![A-Za-z0-9])", metric) is not None


def chance_of(given: float | str | None, classes: int | None) -> float | None:
    """A declared chance as a number; None where it needs classes, and there are none."""
    if given is None or isinstance(given, int | float):
        return given
    if classes is None or classes < 2 or not (formula := _FORMULA.fullmatch(given)):
        return None
    return min(1.0, int(formula[1]) / classes) if formula[1] else math.log(classes)


def is_chance(given: Any) -> bool:
    """Whether a configuration may declare it as a chance."""
    number = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
    return given is None or number or (isinstance(given, str) and _FORMULA.fullmatch(given) is not None)


def is_unit(given: Any) -> bool:
    """Whether it can be shown as a unit: nothing, or a short text."""
    return given is None or (isinstance(given, str) and 0 < len(given) <= 32 and given.isprintable())


def is_declaration(given: Mapping[str, Any]) -> bool:
    """Whether it is what `Metric.declared` gives."""
    return (
        {*given} <= {"better", "unit", "chance", "how"}
        and given.get("better") in (None, "higher", "lower")
        and is_unit(given.get("unit"))
        and is_chance(given.get("chance"))
        and (given.get("how") is None or (isinstance(given["how"], str) and given["how"].isprintable()))
    )


class Metrics(Mapping[str, Metric]):
    """Declared metrics by name, which are found by the keys of a record as well: val/acc_best is one of acc."""

    def __init__(self, declared: Iterable[Metric] = ()):
        self._declared = {metric.name: metric for metric in declared}

    def __getitem__(self, name: str) -> Metric:
        return self._declared[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)

    def __hash__(self) -> int:
        return hash(tuple(self._declared.values()))

    def __or__(self, other: Metrics) -> Metrics:
        """These and the others, which win."""
        return Metrics([*self._declared.values(), *other._declared.values()])

    def of(self, key: str) -> Metric:
        """The declaration that a key of a record is of; without direction, unit and chance where there is none."""
        for name in (key, key.removesuffix("_best"), kind(key)):
            if name in self._declared:
                return self._declared[name]
        return Metric(kind(key))

    def plain(self) -> dict[str, dict[str, Any]]:
        """What records hold of them, by name."""
        return {name: metric.declared() for name, metric in self._declared.items()}

    def declares(self, key: str) -> bool:
        """Whether a key of a record is of a declared metric."""
        return self.of(key).name in self._declared

    def key(self, key: str) -> Key:
        """A key of a record with its declaration."""
        return Key(key, self.of(key))

    def measured(self) -> list[str]:
        """The keys that a task of ours records."""
        keys = [f"{split}/{name}" for split in SPLITS for name, each in self.items() if each.train or split != "train"]
        return [*keys, *(f"val/{name}_best" for name, each in self.items() if each.better)]

    def nearest(self, key: str) -> str:
        """What to write instead of a metric that is not declared: `Did you mean val/acc?`"""
        split = key.rpartition("/")[0]
        known = [f"{split}/{name}" if split else name for name in self._declared]
        near = difflib.get_close_matches(key, known, n=2, cutoff=0.5)
        return f"Did you mean {' or '.join(near)}?" if near else f"Declared are {', '.join(known) or 'none'}"

    def direction(self, where: str, key: str) -> bool:
        """Whether higher is better, of a metric that the config key `where` names.

        Raises UserError for one that is not declared, or that has no direction.
        """
        metric = self.of(key)
        if metric.name not in self._declared:
            raise UserError(undeclared(where, key, self))
        if metric.higher is None:
            raise UserError(f"{where} {no_direction(Key(key, metric))}")
        return metric.higher


def no_direction(key: Key) -> str:
    """What to say where a direction is needed, and a declared metric has none."""
    name = key.metric.name
    above = key.metric.place.removesuffix(f".{name}") or "task.metrics"
    return (
        f"must be a metric of which one direction is better, and {key} declares none. "
        f"Write {typed([*above.split('.'), name, 'better'], 'higher', '++')} (or lower), or name another metric"
    )


def undeclared(where: str, key: str, known: Metrics) -> str:
    """The message for a metric that nothing declares."""
    return (
        f"{where} must be a metric that the run measures, got {key!r}. {known.nearest(key)} {how_to_declare(kind(key))}"
    )


def how_to_declare(name: str) -> str:
    declared = typed(["task", "metrics", name or "NAME", "better"], "higher", "+")
    return f"To declare what the task measures beside these: {declared} (or lower)"


# Of records that were made before declarations were kept.
FIRST = Metrics(
    [
        Metric("acc", "higher", PERCENT, "1/classes"),
        Metric("loss", "lower"),
        Metric("ece", "lower", PERCENT, train=False),
    ]
)

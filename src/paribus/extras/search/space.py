"""The space of a search: Hydra's sweep grammar as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from paribus.base.errors import UserError
from paribus.base.redaction import redacted_override
from paribus.config.compose import parse_overrides
from paribus.config.grammar import override_value
from paribus.config.sweep import check_once


@dataclass(frozen=True)
class Axis:
    """One key that is searched. Its choices are the texts of a command line, its numbers are numbers."""

    key: str
    distribution: BaseDistribution

    def suggest(self, trial: Trial) -> Any:
        """The value that a trial has of it, drawn if it has none."""
        of = self.distribution
        if isinstance(of, CategoricalDistribution):
            return trial.suggest_categorical(self.key, of.choices)
        if isinstance(of, IntDistribution):
            return trial.suggest_int(self.key, of.low, of.high, step=of.step, log=of.log)
        assert isinstance(of, FloatDistribution)
        return trial.suggest_float(self.key, of.low, of.high, step=of.step, log=of.log)

    def override(self, value: Any) -> str:
        return f"{self.key}={value if isinstance(value, str) else override_value(value)}"

    def shown(self, value: Any) -> str:
        """As it is called in lines for people."""
        text = f"{value:.4g}" if isinstance(value, float) else _short(str(value))
        return redacted_override(f"{self.key}={text}")

    @property
    def first(self) -> Any:
        """A value of it, the same each time."""
        of = self.distribution
        if isinstance(of, CategoricalDistribution):
            return of.choices[0]
        assert isinstance(of, IntDistribution | FloatDistribution)
        return of.low


def space_of(params: Mapping[str, Any] | None, arguments: Sequence[str]) -> tuple[list[Axis], list[str]]:
    """What is searched, and the overrides that all trials share.

    params: hydra.sweeper.params. arguments: the command line, which has the last word.

    Raises UserError where nothing is searched, for a secret (Optuna writes down each value that it tries), and for what
    is no range or choice.
    """
    given = parse_overrides([*(f"{key}={value}" for key, value in (params or {}).items()), *arguments])
    check_once(parse_overrides(arguments))
    latest = {override.get_key_element(): override for override in given}
    for override in latest.values():
        shown = redacted_override(override.input_line)
        if override.is_sweep_override() and shown != override.input_line:
            raise UserError(
                f"{shown} searches over a secret, and Optuna writes down each value that it tries. Give it one value"
            )
    axes = [Axis(key, _distribution(each)) for key, each in latest.items() if each.is_sweep_override()]
    if not axes:
        raise UserError(
            "a search needs a key with several values. Write 'optimizer.lr=interval(0.001,0.1)', KEY=A,B, or "
            "hydra.sweeper.params"
        )
    return axes, [each.input_line for each in latest.values() if not each.is_sweep_override()]


def _distribution(override: Override) -> BaseDistribution:
    """An interval is continuous unless it is cast by int(), and tag(log, ...) makes it logarithmic; a range has a step
    and ends before its end; all else is a list of values."""
    given = override.value()
    try:
        if isinstance(given, IntervalSweep):
            return _interval(given)
        if isinstance(given, RangeSweep) and not given.shuffle:
            return _steps([each for each in override.sweep_iterator() if isinstance(each, int | float)])
        if not (choices := list(dict.fromkeys(override.sweep_string_iterator()))):
            raise ValueError("it has no values")
        return CategoricalDistribution(choices)
    except (ValueError, TypeError) as error:
        raise UserError(f"{override.input_line} can't be searched: {error}") from error


def _interval(given: IntervalSweep) -> BaseDistribution:
    log = "log" in given.tags
    if isinstance(given.start, int) and isinstance(given.end, int):
        return IntDistribution(given.start, given.end, log=log)
    assert given.start is not None
    assert given.end is not None
    return FloatDistribution(float(given.start), float(given.end), log=log)


def _steps(values: Sequence[int | float]) -> BaseDistribution:
    if not values:
        raise ValueError("it has no values")
    step = abs(values[1] - values[0]) if len(values) > 1 else 1
    if all(isinstance(each, int) for each in values):
        return IntDistribution(int(min(values)), int(max(values)), step=int(step))
    return FloatDistribution(min(values), max(values), step=step)


def _short(value: str) -> str:
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value

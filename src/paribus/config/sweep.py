"""Hydra's sweep grammar on the command line: choices, ranges and globs, every combination of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from paribus.base.errors import UserError


def combinations(overrides: Sequence[Any]) -> list[list[str]]:
    """Every combination of the levels of parsed overrides, each as a command line.

    Raises UserError for a key that is given twice (Hydra would silently keep the last) and for sweeps that are
    not lists of values, which need a sweeper such as Optuna's.
    """
    axes: dict[str, list[str]] = {}
    check_once(overrides)
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            axes[key] = [f"{key}={override.get_value_element_as_str()}"] if override.value() is not None else []
            if not axes[key]:
                axes[key] = [key] if key.startswith("~") else [f"{key}=null"]
        elif override.is_discrete_sweep():
            axes[key] = [f"{key}={value}" for value in _values(override)]
            if not axes[key]:
                raise UserError(f"{override.input_line} has no values, so there is nothing to sweep. Write {key}=a,b,c")
            if math.prod(map(len, axes.values())) > MOST:
                raise UserError(f"{override.input_line}: a sweep is of {MOST:,} runs at most. Choose fewer values")
        else:
            raise UserError(
                f"{override.input_line}: {override.value_type.name.lower()} is not a list of values. "
                f"Use hparams_search=optuna for a search, or list the values: {key}=0.01,0.1"
            )
    return [list(product) for product in itertools.product(*axes.values())]


MOST = 1_000_000  # runs of a sweep: all of them are planned in memory


def _values(override: Any) -> list[str]:
    try:
        return list(itertools.islice(override.sweep_string_iterator(), MOST + 1))
    except UserError:
        raise
    except Exception as error:  # Hydra's functions meet a step of 0, a sort of nothing, ... with whatever comes of it
        raise UserError(f"{override.input_line} is no list of values: {error}") from error


def check_once(overrides: Iterable[Any]) -> None:
    """Raises UserError for a key that is given twice, of which Hydra would silently keep the last."""
    seen = set()
    for override in overrides:
        key = override.get_key_element().lstrip("+")
        if key in seen:
            raise UserError(f"{key} is given twice. Write all its values once: {key}=a,b,c")
        seen.add(key)


def varied_keys(overrides: Sequence[Any]) -> list[str]:
    """The keys that a sweep varies."""
    return [override.key_or_group for override in overrides if override.is_sweep_override()]

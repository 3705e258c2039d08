"""Secrets of the members of a stack: their list holds places for them, and an environment variable the values.

The list outlives a sweep that is killed; the environment of its processes does not. Whatever launcher starts a job, the
job inherits the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paribus.base.redaction import redacted
from paribus.sweep.grouping import WITHHELD

_PLACE = "paribus.withheld"  # the one key of a mapping that stands for a value


def withhold(content: Any, path: Path) -> Any:
    """The content of a list at this path with places for what looks like a secret; the values go to the environment."""
    values: list[str] = []
    shown = _without(content, redacted(content), values)
    if values:
        os.environ[_variable(path)] = json.dumps(values)
    return shown


def restore(content: Any, path: Path) -> Any:
    """The content as it was. Raises ValueError where this process was not given the values."""
    values = json.loads(os.environ.get(_variable(path), "[]"))
    return _with(content, [json.loads(each) for each in values])


def forget(path: Path) -> None:
    """Leaves the values out of the environment of processes to come."""
    os.environ.pop(_variable(path), None)


def _variable(path: Path) -> str:
    return WITHHELD + path.stem


def _without(value: Any, shown: Any, values: list[str]) -> Any:
    if value == shown:
        return value
    if isinstance(value, Mapping) and list(value) == list(shown):
        return {key: _without(item, shown[key], values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without(item, other, values) for item, other in zip(value, shown, strict=True)]
    if (text := json.dumps(value)) not in values:
        values.append(text)
    return {_PLACE: values.index(text)}


def _with(value: Any, values: list[Any]) -> Any:
    if isinstance(value, Mapping):
        if list(value) != [_PLACE]:
            return {key: _with(item, values) for key, item in value.items()}
        if value[_PLACE] not in range(len(values)):
            raise ValueError(
                "it lacks secrets, which the environment of a sweep's processes holds. Where a cluster gives its jobs "
                "no environment, use stack=off"
            )
        return values[value[_PLACE]]
    return [_with(item, values) for item in value] if isinstance(value, list) else value

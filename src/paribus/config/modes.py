"""Directions of monitored metrics in a configuration: they follow from the metric, and may not contradict it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from paribus.base.directions import higher_is_better, mode
from paribus.base.errors import UserError
from paribus.base.terminal import say
from paribus.config.identity import EARLY_STOPPING
from paribus.config.targets import public_name

# Configurations of before gave the direction of a monitored metric, which follows from the metric now.
_MODES = ("evaluation.mode=", "callbacks.early_stopping.mode=")


def with_mode(override: str) -> str:
    """An override that Hydra takes, where a command line gives a direction: `check_modes` says what it thinks of it."""
    return f"+{override}" if override.startswith(_MODES) else override


def without_mode(where: str, node: Any) -> Any:
    """A section of a config without a direction that follows from its monitored metric."""
    gone = isinstance(node, Mapping) and (where == "evaluation" or public_name(node.get("_target_")) == EARLY_STOPPING)
    return {key: value for key, value in node.items() if key != "mode"} if gone else node


def check_modes(evaluation: Mapping[str, Any], callbacks: Mapping[str, Any]) -> None:
    """Raises UserError for a direction that is not that of its metric; says that the others are left out best."""
    for where, node in {"evaluation": evaluation, **{f"callbacks.{n}": node for n, node in callbacks.items()}}.items():
        if isinstance(node, Mapping) and "mode" in node and isinstance(monitor := node.get("monitor"), str):
            check_mode(where, monitor, node["mode"])
            if "mode" not in without_mode(where, node):
                _say(f"{where}.mode was removed: the direction follows from {where}.monitor. Leave it out")


def check_mode(where: str, monitor: str, told: Any) -> None:
    """Raises UserError where the direction that something is told is not that of its metric.

    A metric without a known direction has the one that is told.
    """
    if higher_is_better(monitor) is not None and told != mode(monitor):
        better = "higher" if higher_is_better(monitor) else "lower"
        raise UserError(
            f"{where}.mode is {told}, but of {where}.monitor={monitor} {better} is better. Leave {where}.mode out, or "
            f"write {mode(monitor)}"
        )


@functools.cache
def _say(line: str) -> None:
    """Once in a process, however many configurations say it."""
    say(line)

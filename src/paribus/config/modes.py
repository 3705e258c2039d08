"""Monitored metrics of a configuration: each is declared, and nothing contradicts its direction."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paribus.base.errors import UserError
from paribus.base.metrics import TIMES, Metric, undeclared
from paribus.base.terminal import say
from paribus.config.identity import EARLY_STOPPING
from paribus.config.targets import public_name
from paribus.config.task import OWN

if TYPE_CHECKING:
    from paribus.config.run import Run

# Configurations of before gave the direction of a monitored metric, which follows from the metric now.
_MODES = ("evaluation.mode=", "callbacks.early_stopping.mode=")


def with_mode(override: str) -> str:
    """An override that Hydra takes, where a command line gives a direction: `check_modes` says what it thinks of it."""
    return f"+{override}" if override.startswith(_MODES) else override


def without_mode(where: str, node: Any) -> Any:
    """A section of a config without a direction that follows from its monitored metric."""
    gone = isinstance(node, Mapping) and (where == "evaluation" or public_name(node.get("_target_")) == EARLY_STOPPING)
    return {key: value for key, value in node.items() if key != "mode"} if gone else node


def check_monitors(run: Run) -> None:
    """Raises UserError for a monitored metric that nothing declares, that has no direction, or whose direction somebody
    contradicts; says that all other directions are left out best."""
    monitor, known = run.evaluation.monitor, run.metrics
    known.direction("evaluation.monitor", monitor)
    _of_validation("evaluation.monitor", run, monitor)
    if run.optimized_metric not in TIMES and not known.declares(run.optimized_metric):
        raise UserError(undeclared("optimized_metric", run.optimized_metric, known))
    nodes = {f"callbacks.{name}": node for name, node in run.callback_nodes.items()}
    for where, node in nodes.items():
        if public_name(node.get("_target_")) == EARLY_STOPPING:
            known.direction(f"{where}.monitor", str(node.get("monitor")))
            _of_validation(f"{where}.monitor", run, str(node.get("monitor")).removesuffix("_best"))
    for where, node in {"evaluation": run.resolved["evaluation"], **nodes}.items():
        if "mode" in node and isinstance(monitored := node.get("monitor"), str):
            check_mode(where, known.of(monitored), monitored, node["mode"])
            if "mode" not in without_mode(where, node):
                _say(f"{where}.mode was removed: the direction follows from {where}.monitor. Leave it out")


def _of_validation(where: str, run: Run, monitor: str) -> None:
    """Raises UserError for a metric that no validation of ours has."""
    if run.task.target in OWN and (not monitor.startswith("val/") or monitor[4:] not in run.metrics):
        wanted = ", ".join(f"val/{name}" for name, metric in run.metrics.items() if metric.better)
        raise UserError(f"{where} must be a metric of the validation, got {monitor}. Use one of {wanted}")


def check_mode(where: str, metric: Metric, monitor: str, told: Any) -> None:
    """Raises UserError where the direction that something is told is not that of its metric.

    A metric without a declared direction has the one that is told.
    """
    if metric.better is not None and told != metric.mode:
        raise UserError(
            f"{where}.mode is {told}, but of {where}.monitor={monitor} {metric.better} is better. Leave {where}.mode "
            f"out, or write {metric.mode}"
        )


@functools.cache
def _say(line: str) -> None:
    """Once in a process, however many configurations say it."""
    say(line)

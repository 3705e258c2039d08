"""Monitored metrics of a configuration: each is declared, and nothing contradicts its direction."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from paribus.base.errors import UserError
from paribus.base.metrics import TIMES, Metric, of_test
from paribus.base.terminal import say
from paribus.config.identity import EARLY_STOPPING
from paribus.config.targets import public_name
from paribus.config.task import OWN, Task

# Configurations of before gave the direction of a monitored metric, which follows from the metric now.
_MODES = ("evaluation.mode=", "callbacks.early_stopping.mode=")


def with_mode(override: str) -> str:
    """An override that Hydra takes, where a command line gives a direction or a flag of Lightning's Trainer, which no
    file lists. Whoever reads them says what is wrong with them."""
    if override.startswith("trainer.flags."):
        return f"++{override}"
    return f"+{override}" if override.startswith(_MODES) else override


def without_mode(where: str, node: Any) -> Any:
    """A section of a config without a direction that follows from its monitored metric."""
    gone = isinstance(node, Mapping) and (where == "evaluation" or public_name(node.get("_target_")) == EARLY_STOPPING)
    return {key: value for key, value in node.items() if key != "mode"} if gone else node


def check_monitors(
    task: Task, optimized: str, evaluation: Mapping[str, Any], callbacks: Mapping[str, Any], scheduler: Any
) -> None:
    """Raises UserError for a monitored metric that nothing declares, that has no direction, or whose direction somebody
    contradicts; says that all other directions are left out best.

    optimized: the metric that a run returns to a sweeper. evaluation, callbacks, scheduler: the sections.
    """
    if task.target in OWN and isinstance(scheduler, Mapping) and isinstance(monitor := scheduler.get("monitor"), str):
        _check_monitor("scheduler.monitor", task, monitor, monitor)
    nodes = {f"callbacks.{name}": node for name, node in callbacks.items() if isinstance(node, Mapping)}
    for where, node in {"evaluation": evaluation, **nodes}.items():
        if not isinstance(monitor := node.get("monitor"), str):
            continue
        if where == "evaluation":
            _check_monitor(f"{where}.monitor", task, monitor, monitor)
        elif public_name(node.get("_target_")) == EARLY_STOPPING:
            _check_monitor(f"{where}.monitor", task, monitor, monitor.removesuffix("_best"))
        if "mode" in node:
            check_mode(where, task.metrics.of(monitor), monitor, node["mode"])
            if "mode" not in without_mode(where, node):
                _say(f"{where}.mode was removed: the direction follows from {where}.monitor. Leave it out")
    if optimized not in TIMES and not task.metrics.declares(optimized):
        raise UserError(
            f"optimized_metric must be a metric that the run measures, got {optimized!r}. {task.nearest(optimized)}"
        )


def _check_monitor(where: str, task: Task, monitor: str, plain: str) -> None:
    """Raises UserError for a metric without a direction, and for one that no validation of ours has."""
    if not task.metrics.declares(monitor):
        raise UserError(f"{where} must be a metric that the run measures, got {monitor!r}. {task.nearest(monitor)}")
    task.metrics.direction(where, monitor)
    if of_test(monitor) and task.target not in OWN:
        alike = re.sub("^test", "val", monitor)
        raise UserError(f"{where} must be a metric of the validation, got {monitor}. Log {alike}, and write {alike}")
    if task.target in OWN and (not plain.startswith("val/") or plain[4:] not in task.metrics):
        wanted = ", ".join(f"val/{name}" for name, metric in task.metrics.items() if metric.better)
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

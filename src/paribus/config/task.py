"""The section `task`: the kind of training, and the metrics that it declares."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import yaml

from paribus.base.errors import UserError
from paribus.base.metrics import FIRST, TIMES, Metric, Metrics, how_to_declare, is_chance, is_unit, kind
from paribus.base.plain_yaml import LOADER
from paribus.base.typed import typed
from paribus.config import config_dir
from paribus.config.arguments import check_node
from paribus.config.schema import parse, shortened
from paribus.config.targets import public_name
from paribus.config.unknown import unknown

CLASSIFICATION = "paribus.task.Classification"
REGRESSION = "paribus.task.Regression"
MULTILABEL = "paribus.task.Multilabel"
LANGUAGE = "paribus.task.Language"
LIGHTNING = "paribus.task.Lightning"
# Those that Paribus trains itself, with their options. Their validation is val/, in every one.
OWN = {
    CLASSIFICATION: "classification",
    REGRESSION: "regression",
    MULTILABEL: "multilabel",
    LANGUAGE: "language",
}
_NAME = re.compile(r"[^\W\d][\w.@/-]{0,63}")
_PLAIN = ("metrics", "monitor")  # data that plans, tables and figures read; all else is the class and its arguments


@dataclass(frozen=True)
class Declaration:
    """What task.metrics.NAME holds: see `Metric`."""

    better: Literal["higher", "lower"] | None = None
    unit: str | None = None
    chance: float | str | None = None
    train: bool = True


@dataclass(frozen=True)
class Task:
    """What is learned, and what is measured.

    node: the class of the task and its arguments. monitor: the metric that says what is best, unless
    evaluation.monitor names another.
    """

    node: Mapping[str, Any] = field(default_factory=lambda: {"_target_": CLASSIFICATION})
    metrics: Metrics = field(default_factory=lambda: FIRST)
    monitor: str = "val/acc"

    @property
    def target(self) -> str:
        """The public name of its class."""
        return public_name(self.node["_target_"])

    def beside(self, others: Metrics) -> Task:
        """This task with further metrics. Raises UserError where it is not one whose outputs Paribus sees, and for a
        metric that is for other tasks."""
        new = [metric for name, metric in others.items() if name not in self.metrics]
        if new and self.target not in OWN:
            raise UserError(
                f"metrics={new[0].name} is computed from outputs that Paribus sees, and those of {self.target} it does "
                f"not. Log it in your module, leave metrics={new[0].name} out, and declare it: "
                f"{typed(['task', 'metrics', new[0].name, 'better'], new[0].better or 'higher', '+')}"
            )
        for metric in new:
            if metric.tasks and OWN[self.target] not in metric.tasks:
                raise UserError(
                    f"metrics={metric.name} is for task={' and task='.join(metric.tasks)}, and this run has "
                    f"task={OWN[self.target]}, whose further metrics are {', '.join(self._offered())}"
                )
        return replace(self, metrics=Metrics([*self.metrics.values(), *new])) if new else self

    def _offered(self) -> list[str]:
        """Our options of the group metrics that can be measured beside its own."""
        files = sorted((config_dir() / "metrics").glob("*.yaml"))
        nodes = {path.stem: yaml.load(path.read_text(encoding="utf-8"), LOADER)[path.stem] for path in files}
        return [name for name, node in nodes.items() if OWN[self.target] in node["tasks"] and name not in self.metrics]

    @property
    def reported(self) -> str:
        """The monitored metric on the test set: test/acc for val/acc."""
        return re.sub(r"^val(?![A-Za-z0-9])", "test", self.monitor)

    def nearest(self, key: str) -> str:
        """What to write instead of a metric that no run has."""
        known = self.metrics.measured() if self.target in OWN else [*self.metrics]
        if self.target in OWN and kind(key) in self._offered():
            return f"Add metrics={kind(key)}, which measures it"
        near = difflib.get_close_matches(key, [*known, *TIMES], n=2, cutoff=0.5)
        if near:
            return f"Did you mean {' or '.join(near)}?"
        return f"Known are {', '.join([*known, *TIMES])}. {how_to_declare(kind(key))}"

    def measures(self, key: str) -> bool:
        """Whether records of its runs can hold a metric of this key."""
        return key in self.metrics.measured() if self.target in OWN else self.metrics.declares(key)

    @staticmethod
    def read(given: Any, where: str = "task") -> Task:
        """The section that a mapping describes. Raises UserError for one that can't be."""
        if not isinstance(given, Mapping):
            raise UserError(
                f"{where} must be an option of its group, or _target_, metrics and monitor, got {shortened(given)}. "
                "Try task=classification"
            )
        check_node(where, given)
        if not isinstance(monitor := given.get("monitor"), str):
            raise UserError(
                f"{where}.monitor must name the metric that says which weights are best, got {shortened(monitor)}. "
                f"Try {typed(f'{where}.monitor', 'val/loss')}"
            )
        node = {key: value for key, value in given.items() if key not in _PLAIN}
        if public_name(node["_target_"]) in OWN and (free := [key for key in node if key != "_target_"]):
            raise UserError(unknown(f"{where}.{free[0]}", [f"{where}.{key}" for key in _PLAIN]))
        return Task(node, declared(given.get("metrics"), f"{where}.metrics"), monitor)


def declared(given: Any, where: str, *, empty: bool = False) -> Metrics:
    """The metrics that a section declares. Raises UserError that names the key, the value and what it can be.

    empty: whether it may declare none.
    """
    if not isinstance(given, Mapping) or not (given or empty):
        raise UserError(
            f"{where} must declare the metrics by name, got {shortened(given)}. "
            f"Try {typed(f'{where}.loss.better', 'lower', '+')}"
        )
    found = []
    for name, entry in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserError(
                f"{where} has names of letters, digits, _, -, . and / that begin with a letter, got {name!r}. Rename it"
            )
        if entry is None:  # NAME=null takes one away
            continue
        each = parse(Declaration, entry, f"{where}.{name}")
        if not is_chance(each.chance):
            raise UserError(
                f"{where}.{name}.chance must be a number, K/classes or log(classes), got {each.chance!r}. "
                f"Try {typed([*where.split('.'), name, 'chance'], 'null')}"
            )
        if not is_unit(each.unit):
            raise UserError(
                f"{where}.{name}.unit must be percent or a word of at most 32 characters, got {each.unit!r}. "
                f"Try {typed([*where.split('.'), name, 'unit'], 'null')}"
            )
        found.append(Metric(name, each.better, each.unit, each.chance, each.train, f"{where}.{name}"))
    return Metrics(found)


def metrics_of(config: Mapping[str, Any]) -> Metrics:
    """The metrics that a resolved configuration declares, whether or not it was looked at; the first ones of all where
    it is older than declarations."""
    if not isinstance(task := config.get("task"), Mapping):
        return FIRST
    found = []
    for given in (config.get("metrics"), task.get("metrics")):  # the task's own win
        for name, entry in given.items() if isinstance(given, Mapping) else ():
            if isinstance(entry, Mapping):
                found.append(Metric(str(name), entry.get("better"), entry.get("unit"), entry.get("chance")))
    return Metrics(found)


def task_node(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The part of the task that can change a result: its class and the arguments; None where that is the first task."""
    if not isinstance(task := config.get("task"), Mapping):
        return None
    node = {key: value for key, value in task.items() if key not in _PLAIN}
    return None if set(node) == {"_target_"} and public_name(node["_target_"]) == CLASSIFICATION else node

"""The section `metrics`: what is measured beside the task's own metrics, each a class with its declaration."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from paribus.base.errors import UserError
from paribus.base.metrics import Metrics
from paribus.base.redaction import redacted
from paribus.base.typed import typed
from paribus.config.arguments import check_node
from paribus.config.schema import shortened
from paribus.config.targets import public_name
from paribus.config.task import OWN, declared

DECLARES = ("better", "unit", "chance", "tasks")


@dataclass(frozen=True)
class Measures:
    """Metrics by name. nodes: the class of each and its arguments. declared: direction, unit and chance of each, and
    the tasks that it is for."""

    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    declared: Metrics = field(default_factory=Metrics)

    def only(self, names: Collection[str]) -> Measures:
        """Those of these names."""
        return Measures(
            {name: node for name, node in self.nodes.items() if name in names},
            Metrics(metric for name, metric in self.declared.items() if name in names),
        )

    @staticmethod
    def read(given: Any, where: str = "metrics") -> Measures:
        """The section that a mapping describes. Raises UserError for one that can't be."""
        if not isinstance(given, Mapping):
            raise UserError(
                f"{where} must be options of its group, or NAME._target_ and its arguments, got {shortened(given)}. "
                f"Try {typed(where, '[f1,auroc]')}"
            )
        chosen = {name: node for name, node in given.items() if node is not None}  # NAME=null takes one away
        for name, node in chosen.items():
            check_node(f"{where}.{name}", node)
        plain = {
            name: {key: node[key] for key in DECLARES if key in node and key != "tasks"} | {"train": False}
            for name, node in chosen.items()
        }
        known = declared(plain, where, empty=True)
        return Measures(
            {name: arguments(node) for name, node in chosen.items()},
            Metrics(
                replace(known[name], tasks=_tasks(f"{where}.{name}", node.get("tasks")), how=_how(node))
                for name, node in chosen.items()
            ),
        )


def _tasks(where: str, given: Any) -> tuple[str, ...]:
    """The options of the group task that a metric is for; none where it does not say."""
    options = list(OWN.values())
    if given is not None and not (isinstance(given, list) and given and all(each in options for each in given)):
        raise UserError(
            f"{where}.tasks must be a list of {', '.join(options)}, got {shortened(given)}. Leave it out where "
            "the metric is for any task"
        )
    return tuple(given or ())


def _how(node: Mapping[str, Any]) -> str:
    """The class and its arguments in one line, in one order. Records keep it: one name is one computation."""
    given = redacted({key: value for key, value in sorted(arguments(node).items()) if key != "_target_"})
    return f"{public_name(node['_target_'])}({', '.join(f'{key}={json.dumps(given[key])}' for key in given)})"


def arguments(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node without what it declares: the class and its arguments."""
    return {key: value for key, value in node.items() if key not in DECLARES}

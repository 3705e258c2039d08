"""The check that a module logs what its configuration names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from paribus.base.errors import UserError
from paribus.config.identity import EARLY_STOPPING
from paribus.config.nodes import target_of
from paribus.config.run import Run


class NotLogged(UserError):
    """A metric that the configuration names and the module does not log. needed: whether weights depend on it."""

    def __init__(self, name: str, message: str, needed: bool = False):
        super().__init__(message)
        self.name = name
        self.needed = needed


def check_logged(run: Run, logged: Mapping[str, float]) -> None:
    """Raises NotLogged for a metric that is declared or followed, and that the module does not log."""
    names = ", ".join(sorted(logged)) or "nothing"
    if (monitor := run.evaluation.monitor) not in logged:
        needed = run.evaluation.checkpoint == "best" or any(
            target_of(node) == EARLY_STOPPING for node in run.callback_nodes.values()
        )
        raise NotLogged(
            monitor,
            f"evaluation.monitor={monitor} must be a metric that the module logs, and it logs {names}. Correct "
            f"task.monitor, or log it: self.log('{monitor}', value).",
            needed,
        )
    for name in run.declared:
        if not any(run.declared.of(key).name == name for key in logged):
            whole = name if re.match(r"(train|val|valid|test)[^A-Za-z0-9]", name) else f"val/{name}"
            raise NotLogged(
                name,
                f"task.metrics.{name} must be a metric that the module logs, and it logs {names}. Correct the name, or "
                f"log it: self.log('{whole}', value).",
            )

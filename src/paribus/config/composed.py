"""A resolved configuration, with the options that were chosen for it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paribus.config.dotted import at
from paribus.config.run import Run, Runs


@dataclass(frozen=True)
class Composed:
    """A resolved configuration. Configurations of one Composer share their equal parts: don't change them.

    choices: the option chosen of each config group.
    axes: further overrides that a sweep of it varies, hydra.sweeper.params.
    runs: parses it when it is asked to; shared by the configurations of one Composer.
    """

    resolved: dict[str, Any]
    choices: Mapping[str, Any]
    axes: Mapping[str, Any] = field(default_factory=dict)
    runs: Runs = field(default_factory=Runs, repr=False, compare=False)

    @functools.cached_property
    def run(self) -> Run:
        """Raises UserError for the first value that can't be."""
        return self.runs(self.resolved)

    def at(self, key: str) -> Any:
        """The value of a dotted key, which may be any as long as `run` was not asked for; None where there is none."""
        return at(self.resolved, key, None)

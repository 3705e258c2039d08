"""A command line, resolved: the plain mapping, the options that were chosen, and the run when it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paribus.config.dotted import at
from paribus.config.measures import Measures
from paribus.config.run import Run, Runs
from paribus.config.task import Task


@dataclass(frozen=True)
class Composed:
    """Configurations of one Composer share their equal parts: don't change them.

    choices: the option chosen of each config group.
    axes: further overrides that a sweep of it varies, hydra.sweeper.params.
    runs: parses it when it is asked to; shared by the configurations of one Composer.
    """

    resolved: Mapping[str, Any]
    choices: Mapping[str, Any]
    axes: Mapping[str, Any] = field(default_factory=dict)
    runs: Runs = field(default_factory=Runs, repr=False, compare=False)

    @functools.cached_property
    def run(self) -> Run:
        """Parsed once, and not at all for what a plan only counts. Raises UserError for a value that can't be."""
        return self.runs(self.resolved)

    @property
    def task_mark(self) -> int:
        """Equal for configurations that share their section `task`."""
        return id(self.resolved.get("task"))

    @property
    def measures_more(self) -> bool:
        """Whether metrics are asked for beside those of the task."""
        return bool(self.resolved.get("metrics"))

    @property
    def task(self) -> Task:
        """What is learned and measured. Raises UserError for what no task can be."""
        task = Task.read(self.resolved["task"]) if "task" in self.resolved else Task()
        return task.beside(Measures.read(self.resolved["metrics"]).declared) if self.resolved.get("metrics") else task

    @property
    def ablation(self) -> Any:
        """The section of the ablation file, which its own parser looks at; None for a run of none."""
        return at(self.resolved, "ablation", None)

    @property
    def outputs(self) -> Any:
        """The folder of records, before anything else was looked at."""
        return at(self.resolved, "paths.outputs", None)

    def at(self, key: str) -> Any:
        """The value of a key that is known at run time only, such as one that an ablation tunes; None for no key."""
        return at(self.resolved, key, None)

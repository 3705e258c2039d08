"""A trainee: one run in training, alone or in a stack, and what is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from paribus.run.journal import Journal
from paribus.run.segments import Segments
from paribus.tasks.measures import Measures
from paribus.tasks.task import Task
from paribus.techniques.schedules import Schedule


@dataclass
class Trainee:
    """What belongs to one run, whoever trains it.

    measures: metrics beside those of the task, where any are asked for.
    id: of the run.
    network: its initial state; in a stack, later a view of the stack.
    make_optimizer: called with the network, once its parameters are those that will be trained.
    param_groups: the groups of its optimizer as it would have them alone; there once training has begun.
    loggers: None in a process that writes nothing.
    observers: callbacks of the type `Observer` that watch this run.
    follows: the metric that its schedule is told after a validation.
    folder: where its checkpoints go; None for none.
    ended: how it ended before its budget; absent: it has a row in a stack, but it is trained elsewhere.
    released: it has ended, and somebody else keeps its record.
    best_is_new: its best weights are not on the disk yet.
    """

    network: nn.Module
    task: Task
    make_optimizer: Callable[[nn.Module], Optimizer]
    schedule: Schedule
    order_seed: int
    augmentation_seed: int
    dropout_seed: int
    journal: Journal
    measures: Measures | None = None
    follows: str = "val/loss"
    id: str = ""
    clip_norm: float | None = None
    clip_value: float | None = None
    loggers: Sequence[Any] | None = ()
    observers: Sequence[Any] = ()
    folder: Path | None = None
    best_weights: dict[str, Tensor] | None = None
    best_is_new: bool = False
    ended: Literal["diverged", "failed", "absent"] | None = None
    failure: str = ""
    released: bool = False
    segments: Segments = field(default_factory=Segments)
    param_groups: Callable[[], list[dict[str, Any]]] = list

    def log(self, values: dict[str, float], step: int) -> None:
        """To its loggers alone, and not to the history, whose columns are for tables."""
        for logger in self.loggers or ():
            logger.log_metrics(values, step=step)

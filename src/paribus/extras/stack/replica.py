"""One run within a stack: what is its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from torch import Tensor, nn

from paribus.extras.stack.optimizers import Setting
from paribus.run.journal import Journal
from paribus.run.segments import Segments
from paribus.techniques.losses import Loss


@dataclass
class Replica:
    """A run of a stack.

    id: of the run.
    network: its initial state, later a view of the stack.
    loss_key: equal for losses that are the same function.
    folder: where its checkpoints go; None for none.
    observers: callbacks with on_gradients(task) or on_update(task) that watch this run alone.
    """

    network: nn.Module
    loss: Loss
    loss_key: Hashable
    optimizer: Setting
    order_seed: int
    augmentation_seed: int
    dropout_seed: int
    journal: Journal
    id: str = ""
    clip_norm: float | None = None
    clip_value: float | None = None
    loggers: Sequence[Any] = ()
    observers: Sequence[Any] = ()
    folder: Path | None = None
    best_weights: dict[str, Tensor] | None = None
    best_is_new: bool = False  # not on the disk yet
    ended: Literal["diverged", "failed", "absent"] | None = None  # absent: its row is there, but its run is elsewhere
    failure: str = ""
    segments: Segments = field(default_factory=Segments)
    view: Any = field(default_factory=SimpleNamespace)  # what its observers take for the task of a single run

"""Early stopping: a run ends when its validation has not improved for a while."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

if TYPE_CHECKING:
    from paribus.run.loop import Loop


class EarlyStopping(pl.Callback):
    """Ends a run after `patience` validations in a row without an improvement of the best by more than `min_delta`.

    monitor: a metric of the validation; which direction of it is better is declared with the metric. nan is no
    improvement.

    Lightning's class of this name counts epochs, looks at old values where an epoch has no validation, and takes the
    direction from its user. Source: Prechelt 1998.
    """

    def __init__(self, monitor: str, patience: int = 5, min_delta: float = 0.0):
        if patience < 1:
            raise ValueError(f"patience must be at least 1 validation, got {patience}")
        if not 0.0 <= min_delta < math.inf:
            raise ValueError(f"min_delta must be a finite number of at least 0, got {min_delta}")
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.nan
        self.waited = 0  # validations since the best

    @property
    def state_key(self) -> str:
        return self._generate_state_key(monitor=self.monitor)

    def on_validated(self, loop: Loop, metrics: dict[str, float]) -> None:
        value, metric = metrics[self.monitor], loop.journal.known.of(self.monitor)
        if metric.is_better(value - self.min_delta if metric.higher else value + self.min_delta, self.best):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            loop.end_training()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.waited = state_dict["best"], state_dict["waited"]

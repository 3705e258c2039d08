"""The position of a run, and its budget."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from paribus.datasets.batches import BatchPlan

Unit = Literal["epochs", "updates", "samples", "seconds"]


@dataclass
class Cursor:
    """Where training stands: after `step` updates, `update` of them in epoch number `epoch`."""

    epoch: int = 0
    update: int = 0
    step: int = 0
    samples: int = 0  # over all processes
    seconds: float = 0.0  # spent in training steps, kept over interruptions

    def state(self) -> dict[str, Any]:
        return asdict(self)

    def load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


@dataclass(frozen=True)
class Budget:
    """The length of a run in one unit."""

    unit: Unit
    amount: float

    def updates(self, plan: BatchPlan) -> int | None:
        """Number of updates that the budget buys; None for a budget in seconds.

        A budget in samples ends with the first update that reaches it.
        """
        if self.unit == "seconds":
            return None
        if self.unit == "updates":
            return int(self.amount)
        if self.unit == "epochs":
            return sum(plan.updates_in(epoch) for epoch in range(int(self.amount)))
        updates, samples, epoch = 0, 0, 0
        while True:
            in_epoch = plan.samples_in(epoch)
            if samples + in_epoch >= self.amount:
                return updates + math.ceil((self.amount - samples) / plan.batch_size_at(epoch))
            updates, samples, epoch = updates + plan.updates_in(epoch), samples + in_epoch, epoch + 1

    def horizon(self, plan: BatchPlan) -> float:
        """Length of the run in the unit that schedules count in: updates, or seconds for a budget in seconds."""
        updates = self.updates(plan)
        return self.amount if updates is None else float(updates)

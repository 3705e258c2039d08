"""Agreement between the processes of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

SECONDS = 0.5  # between two decisions


class Agreement:
    """Decisions that would differ if each process looked at its own clock, signals or share of the data.

    Processes that decide differently wait for each other for ever. So they go by the largest of their values, at
    moments that are the same for all of them: about every half a second, counted in updates.
    """

    def __init__(self, processes: int, device: torch.device):
        self.processes = processes
        self.device = device
        self._next = 0  # nothing is decided before this update
        self._step = 0
        self._time = time.monotonic()

    def largest(self, *values: float) -> list[float]:
        """Of each value the largest over the processes, all of which must call this at the same point."""
        if self.processes == 1:
            return list(values)
        state = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(state, torch.distributed.ReduceOp.MAX)
        return state.tolist()

    def due(self, step: int) -> bool:
        """Whether the processes decide after update number `step`, or the first one at which all can."""
        return step >= self._next

    def updates_left(self, step: int) -> int:
        """After update number `step`, how many updates there are until the next decision."""
        return max(1, self._next - step)

    def decide(self, step: int, flag: bool) -> bool:
        """Whether any process has raised the flag. Also finds out when they decide next."""
        now, updates = time.monotonic(), max(1, step - self._step)
        seconds, raised = self.largest((now - self._time) / updates, flag)
        # The first update takes longer than others: the distance grows step by step.
        self._next = step + max(1, min(2 * updates + 1, int(SECONDS / max(seconds, 1e-6))))
        self._step, self._time = step, now
        return bool(raised)


def follow_first(tensors: Sequence[Tensor]) -> None:
    """Every process gets the values of the first, in one message for each type; in place."""
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in alike])
        torch.distributed.broadcast(flat, 0)
        for tensor, part in zip(alike, flat.split([tensor.numel() for tensor in alike]), strict=True):
            tensor.copy_(part.view_as(tensor))

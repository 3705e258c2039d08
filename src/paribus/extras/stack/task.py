"""The task of a stack: those of its runs, for all outputs at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, nn

from paribus.tasks.task import Task


class StackedTask(nn.Module):
    """The tasks of R runs that read the same outputs: the same data and metrics, perhaps other losses.

    tasks, keys: one for each run. Tasks with equal keys are the same function, and are called once for all their runs.

    Shapes: outputs (R, N, O), targets (R, N) or (R, N, K). See `paribus.tasks.task.Task`.
    """

    def __init__(self, tasks: Sequence[Task], keys: Sequence[Hashable]):
        super().__init__()
        self.first = tasks[0]
        self.augments = tasks[0].augments
        self.training_size = tasks[0].training_size
        self.evaluation_size = tasks[0].evaluation_size
        self.groups: list[tuple[Task, list[int] | None]] = []
        for key in dict.fromkeys(keys):
            rows = [k for k, other in enumerate(keys) if other == key]
            self.groups.append((tasks[rows[0]], None if len(rows) == len(tasks) else rows))
        self.parts = nn.ModuleList(task for task in tasks if isinstance(task, nn.Module))  # they go to the device

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The mean losses (R,)."""
        return self._by_groups(outputs, target, _mean_losses)

    def training_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        """(R, ..., training_size): outputs (R, ..., N, O)."""
        return self._by_groups(outputs, target, lambda task, z, y: task.training_sums(z, y, dtype))

    def _by_groups(self, outputs: Tensor, target: Tensor, call: Callable[[Task, Tensor, Tensor], Tensor]) -> Tensor:
        """What each group makes of its own rows, in the order of the runs."""
        if self.groups[0][1] is None:
            return call(self.groups[0][0], outputs, target)
        parts = [call(task, outputs[rows], target[rows]) for task, rows in self.groups]
        order = torch.tensor([k for _, rows in self.groups for k in rows or ()], device=outputs.device)
        return torch.cat(parts)[order.argsort()]

    def training_metrics(self, loss: float, sums: list[float], samples: int) -> dict[str, float]:
        return self.first.training_metrics(loss, sums, samples)

    def evaluation_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        """(R, evaluation_size): targets (N, ...) for all runs."""
        if self.groups[0][1] is None:
            return self.groups[0][0].evaluation_sums(outputs, target, dtype)
        sums = torch.zeros(len(outputs), self.evaluation_size, dtype=dtype, device=outputs.device)
        for task, rows in self.groups:
            sums[rows] = task.evaluation_sums(outputs[rows], target, dtype)
        return sums

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        return self.first.evaluation_metrics(sums)


def _mean_losses(task: Task, outputs: Tensor, target: Tensor) -> Tensor:
    losses = task.per_sample(outputs.flatten(0, 1), target.flatten(0, 1)).view(outputs.shape[:2])
    weights = task.weights(target.flatten(0, 1))
    return losses.mean(1) if weights is None else losses.sum(1) / weights.view(losses.shape).sum(1)

"""The evaluation of a stack: sums for each replica, in as few operations as for one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from paribus.extras.stack.network import StackedNetwork
from paribus.run.metrics import BINS, EvaluationTotals, evaluation_sums, wide
from paribus.techniques.losses import Loss
from paribus.techniques.norms.statistics import running_norms


class StackedLoss:
    """The losses of replicas that read the same logits.

    losses, keys: one for each replica; losses with equal keys are the same function, and are called once.
    """

    def __init__(self, losses: Sequence[Loss], keys: Sequence[Hashable]):
        self.num_classes = losses[0].num_classes
        self.groups: list[tuple[Loss, list[int] | None]] = []
        for key in dict.fromkeys(keys):
            replicas = [k for k, other in enumerate(keys) if other == key]
            whole = len(replicas) == len(losses)
            self.groups.append((losses[replicas[0]], None if whole else replicas))

    def to(self, device: torch.device) -> None:
        for loss, _ in self.groups:
            loss.to(device)

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The mean losses (R,) of outputs (R, N, O) and targets (R, N) or soft (R, N, K)."""
        if self.groups[0][1] is None:
            return _mean_loss(self.groups[0][0], outputs, target)
        parts = [_mean_loss(loss, outputs[replicas], target[replicas]) for loss, replicas in self.groups]
        order = torch.tensor([k for _, replicas in self.groups for k in replicas or ()], device=outputs.device)
        return torch.cat(parts)[order.argsort()]

    def predict(self, outputs: Tensor) -> Tensor:
        """The predicted classes (R, N) of outputs (R, N, O)."""
        if self.groups[0][1] is None:
            return self.groups[0][0].predict(outputs.flatten(0, 1)).view(outputs.shape[:2])
        predicted = outputs.new_empty(outputs.shape[:2], dtype=torch.long)
        for loss, replicas in self.groups:
            predicted[replicas] = loss.predict(outputs[replicas].flatten(0, 1)).view(-1, outputs.shape[1])
        return predicted

    def evaluate(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        """The sums (R, ...) of EvaluationTotals; target (N,) for all replicas."""
        if self.groups[0][1] is None:
            return evaluation_sums(outputs, target, self.groups[0][0], dtype)
        sums = torch.zeros(len(outputs), 4 + 3 * BINS, dtype=dtype, device=outputs.device)
        for loss, replicas in self.groups:
            sums[replicas] = evaluation_sums(outputs[replicas], target, loss, dtype)
        return sums


def _mean_loss(loss: Loss, outputs: Tensor, target: Tensor) -> Tensor:
    return loss.per_sample(outputs.flatten(0, 1), target.flatten(0, 1)).view(outputs.shape[:2]).mean(1)


def evaluate(
    stack: StackedNetwork,
    sums: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
) -> list[dict[str, float]]:
    """loss, acc and ece of each replica over batches (x (N, C, H, W), y (N,)), in evaluation mode.

    sums: x, y -> the sums (R, ...) of EvaluationTotals.
    """
    total = torch.zeros(len(stack), 4 + 3 * BINS, dtype=wide(device), device=device)
    program = stack.program
    training = program.training
    program.eval()
    try:
        with torch.no_grad():
            for x, y in batches:
                total += sums(x, y)
    finally:
        program.train(training)
    return [EvaluationTotals.compute(state) for state in total.cpu()]


@contextmanager
def recomputed_statistics(
    stack: StackedNetwork, replicas: Sequence[int], batches: Iterable[tuple[Tensor, Tensor]]
) -> Iterator[None]:
    """As techniques.norms.statistics.recomputed_statistics, for some replicas of a stack; the others keep theirs."""
    program = stack.program
    known = set(running_norms(program))
    norms: dict[str, Any] = {name: module for name, module in program.named_modules() if module in known}
    stacked = stack.stacked()
    statistics = [stacked[f"{name}.{part}"] for name, module in norms.items() for part, _ in module.named_buffers()]
    if not replicas or not statistics:
        yield
        return
    own = [tensor.clone() for tensor in statistics]
    others = [k for k in range(len(stack)) if k not in set(replicas)]
    momentum = {name: module.momentum for name, module in norms.items()}
    training = program.training
    program.eval()
    for module in norms.values():
        module.train()
    with torch.no_grad():
        for number, (x, _) in enumerate(batches, start=1):
            for module in norms.values():
                module.momentum = 1.0 / number
            stack(x, shared=True)
        for tensor, value in zip(statistics, own, strict=True):
            tensor[others] = value[others]
    program.train(training)
    for name, module in norms.items():
        module.momentum = momentum[name]
    try:
        yield
    finally:
        for tensor, value in zip(statistics, own, strict=True):
            tensor.copy_(value)

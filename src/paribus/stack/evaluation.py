"""What a stack measures: sums for each replica, in as few operations as for one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from paribus.losses import Loss
from paribus.metrics import BINS, EvaluationTotals, Totals, evaluation_sums, wide
from paribus.nn.batch_norm import BatchNorm
from paribus.stack.network import StackedNetwork
from paribus.stack.products import fast_products


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

    def __call__(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(loss (R,), predicted class (R, N)) of outputs (R, N, O) and targets (R, N) or soft (R, N, K)."""
        if self.groups[0][1] is None:
            return _mean_loss(self.groups[0][0], outputs, target)
        parts = [_mean_loss(loss, outputs[replicas], target[replicas]) for loss, replicas in self.groups]
        order = torch.tensor([k for _, replicas in self.groups for k in replicas or ()], device=outputs.device)
        back = order.argsort()
        return torch.cat([loss for loss, _ in parts])[back], torch.cat([best for _, best in parts])[back]

    def evaluate(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        """The sums (R, ...) of EvaluationTotals; target (N,) for all replicas."""
        if self.groups[0][1] is None:
            return evaluation_sums(outputs, target, self.groups[0][0], dtype)
        sums = torch.zeros(len(outputs), 4 + 3 * BINS, dtype=dtype, device=outputs.device)
        for loss, replicas in self.groups:
            sums[replicas] = evaluation_sums(outputs[replicas], target, loss, dtype)
        return sums


def _mean_loss(loss: Loss, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    flat = outputs.flatten(0, 1)
    shape = outputs.shape[:2]
    return loss.per_sample(flat, target.flatten(0, 1)).view(shape).mean(1), loss.predict(flat.detach()).view(shape)


class StackedTotals:
    """Totals of a training epoch for each of R replicas."""

    def __init__(self, replicas: int, device: torch.device | str = "cpu"):
        self._sums = torch.zeros(2, replicas, dtype=wide(torch.device(device)), device=device)
        self.samples = 0

    def update(self, losses: Tensor, predicted: Tensor, target: Tensor) -> None:
        """Add a batch: mean losses (R,), predicted classes (R, N), targets (R, N) or soft (R, N, K)."""
        size = predicted.shape[1]
        if target.ndim == 3:
            target = target.argmax(2)
        self._sums[0].add_(losses, alpha=size)
        self._sums[1].add_((predicted == target).sum(1))
        self.samples += size

    def states(self) -> Tensor:
        """(R, 3), the states of `Totals`."""
        samples = torch.full_like(self._sums[:1], self.samples)
        return torch.cat([self._sums, samples]).t()

    def load(self, states: Sequence[Tensor]) -> None:
        stacked = torch.stack([state.to(self._sums) for state in states], 1)
        self._sums.copy_(stacked[:2])
        self.samples = int(stacked[2, 0])

    def reset(self) -> None:
        self._sums.zero_()
        self.samples = 0

    def compute(self) -> list[dict[str, float]]:
        return [Totals.compute(state) for state in self.states().cpu()]


@fast_products()
def evaluate(
    stack: StackedNetwork, loss: StackedLoss, batches: Iterable[tuple[Tensor, Tensor]], device: torch.device
) -> list[dict[str, float]]:
    """loss, acc and ece of each replica over batches (x (N, C, H, W), y (N,)), in evaluation mode."""
    dtype = wide(device)
    total = torch.zeros(len(stack), 4 + 3 * BINS, dtype=dtype, device=device)
    program = stack.program
    training = program.training
    program.eval()
    try:
        with torch.no_grad():
            for x, y in batches:
                total += loss.evaluate(stack(x, shared=True), y, dtype)
    finally:
        program.train(training)
    return [EvaluationTotals.compute(state) for state in total.cpu()]


@contextmanager
def recomputed_statistics(
    stack: StackedNetwork, replicas: Sequence[int], batches: Iterable[tuple[Tensor, Tensor]]
) -> Iterator[None]:
    """As paribus.nn.statistics.recomputed_statistics, for some replicas of a stack; the others keep theirs."""
    program = stack.program
    norms = {name: module for name, module in program.named_modules() if isinstance(module, BatchNorm)}
    stacked = stack.stacked()
    statistics = [stacked[f"{name}.{part}"] for name in norms for part in ("running_mean", "running_var")]
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

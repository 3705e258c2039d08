"""What a stack measures: sums for each replica, in as few operations as for one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from paribus.losses import Loss
from paribus.metrics import BINS, HELD, EvaluationTotals, Totals, evaluation_sums, wide
from paribus.nn.batch_norm import BatchNorm
from paribus.stack.network import StackedNetwork


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
        predicted = outputs.new_empty(outputs.shape[:2], dtype=torch.long)
        for loss, replicas in self.groups:
            own = outputs if replicas is None else outputs[replicas]
            predicted[slice(None) if replicas is None else replicas] = loss.predict(own.flatten(0, 1)).view(
                own.shape[:2]
            )
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


class StackedTotals:
    """Totals of a training epoch for each of R replicas.

    As in `Totals`, batches wait and are added up together, in their order.
    """

    def __init__(self, replicas: int, loss: StackedLoss, device: torch.device | str = "cpu"):
        self._loss = loss
        self._sums = torch.zeros(2, replicas, dtype=wide(torch.device(device)), device=device)
        self.samples = 0
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._held = 0

    def update(self, losses: Tensor, outputs: Tensor, target: Tensor) -> None:
        """Add a batch: mean losses (R,), outputs (R, N, O), targets (R, N) or soft (R, N, K)."""
        self._waiting.append((losses, outputs, target))
        self.samples += outputs.shape[1]
        self._held += outputs.numel() + target.numel()
        if self._held >= HELD:
            self._add_up()

    def _add_up(self) -> None:
        if not self._waiting:
            return
        losses, outputs, targets = zip(*self._waiting, strict=True)
        sizes = self._sums.new_tensor([batch.shape[1] for batch in outputs])
        terms = torch.stack(losses).to(self._sums) * sizes[:, None]
        self._sums[0] = torch.cat([self._sums[:1], terms]).cumsum(0)[-1]
        classes = torch.cat([target.argmax(2) if target.ndim == 3 else target for target in targets], 1)
        self._sums[1] += (self._loss.predict(torch.cat(outputs, 1)) == classes).sum(1)
        self._waiting, self._held = [], 0

    def states(self) -> Tensor:
        """(R, 3), the states of `Totals`."""
        self._add_up()
        samples = torch.full_like(self._sums[:1], self.samples)
        return torch.cat([self._sums, samples]).t()

    def load(self, states: Sequence[Tensor]) -> None:
        self.reset()
        stacked = torch.stack([state.to(self._sums) for state in states], 1)
        self._sums.copy_(stacked[:2])
        self.samples = int(stacked[2, 0])

    def reset(self) -> None:
        self._sums.zero_()
        self.samples = 0
        self._waiting, self._held = [], 0

    def compute(self) -> list[dict[str, float]]:
        return [Totals.compute(state) for state in self.states().cpu()]


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

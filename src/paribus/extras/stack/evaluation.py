"""The evaluation of a stack: sums for each replica, in as few operations as for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from paribus.extras.stack.network import StackedNetwork
from paribus.extras.stack.task import StackedTask
from paribus.run.metrics import wide
from paribus.tasks.measures import Measures
from paribus.techniques.norms.statistics import running_norms


def evaluate(
    stack: StackedNetwork,
    task: StackedTask,
    sums: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
) -> list[dict[str, float]]:
    """The metrics of each run over batches (x (N, ...), y (N, ...)), in evaluation mode.

    sums: x, y -> the sums (R, evaluation_size) of the task.
    """
    total = torch.zeros(len(stack), task.evaluation_size, dtype=wide(device), device=device)
    program = stack.program
    training = program.training
    program.eval()
    try:
        with torch.no_grad():
            for x, y in batches:
                total += sums(x, y)
    finally:
        program.train(training)
    return [task.evaluation_metrics(state) for state in total.cpu()]


def measured(
    network: nn.Module, measures: Measures, batches: Iterable[tuple[Tensor, Tensor]], device: torch.device
) -> dict[str, float]:
    """The measures alone, of a network in evaluation mode."""
    measures.begin(device)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            for x, y in batches:
                measures.update(network(x), y)
    finally:
        network.train(training)
    return measures.compute()


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

"""The metrics of a network on a set, in large batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from paribus.run.metrics import wide
from paribus.tasks.measures import Measures
from paribus.tasks.task import Sums
from paribus.techniques.norms.statistics import statistics_of_the_batch


def evaluate(
    network: nn.Module,
    task: Sums,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    reduce: Callable[[Tensor], Tensor] = lambda state: state,
    batch_statistics: bool = False,
    measures: Measures | None = None,
) -> dict[str, float]:
    """The metrics of a task over batches (x (N, ...), y (N, ...)), with the network in evaluation mode.

    reduce: sums the state over processes, each of which saw its own share; so every sample counts exactly once.
    batch_statistics: batch norm normalises with the statistics of the evaluated batch, not with moving averages.
    measures: metrics beside those of the task; they merge processes themselves.
    """
    if measures is not None:
        measures.begin(device)
    sums = torch.zeros(task.evaluation_size, dtype=wide(device), device=device)
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), statistics_of_the_batch(network) if batch_statistics else nullcontext():
            for x, y in batches:
                outputs = network(x)
                sums += task.evaluation_sums(outputs[None], y, sums.dtype)[0]
                if measures is not None:
                    measures.update(outputs, y)
    finally:
        network.train(training)
    found = task.evaluation_metrics(reduce(sums))
    return found if measures is None else {**found, **measures.compute()}

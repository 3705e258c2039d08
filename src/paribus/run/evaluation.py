"""Loss, accuracy and calibration of a network on a set, in large batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from paribus.run.metrics import EvaluationTotals
from paribus.techniques.losses import Loss
from paribus.techniques.norms.statistics import statistics_of_the_batch


def evaluate(
    network: nn.Module,
    loss: Loss,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    reduce: Callable[[Tensor], Tensor] = lambda state: state,
    batch_statistics: bool = False,
) -> dict[str, float]:
    """loss, acc and ece over batches (x (N, C, H, W), y (N,)), with the network in evaluation mode.

    reduce: sums the state over processes, each of which saw its own share; so every sample counts exactly once.
    batch_statistics: batch norm normalises with the statistics of the evaluated batch, not with moving averages.
    """
    totals = EvaluationTotals(device)
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), statistics_of_the_batch(network) if batch_statistics else nullcontext():
            for x, y in batches:
                totals.update(network(x), y, loss)
    finally:
        network.train(training)
    return totals.compute(reduce(totals.state()))

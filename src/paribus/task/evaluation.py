"""Loss, accuracy and calibration of a network on a set, in large batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from paribus.losses import Loss
from paribus.metrics import EvaluationTotals


def evaluate(
    network: nn.Module,
    loss: Loss,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device: torch.device,
    reduce: Callable[[Tensor], Tensor] = lambda state: state,
) -> dict[str, float]:
    """loss, acc and ece over batches (x (N, C, H, W), y (N,)), with the network in evaluation mode.

    reduce: sums the state over processes, each of which saw its own share; so every sample counts exactly once.
    """
    totals = EvaluationTotals(device)
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            for x, y in batches:
                totals.update(network(x), y, loss)
    finally:
        network.train(training)
    return totals.compute(reduce(totals.state()))

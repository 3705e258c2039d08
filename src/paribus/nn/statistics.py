"""Batch norm's moving statistics for weights that no training batch has gone through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from paribus.nn.batch_norm import BatchNorm


@contextmanager
def recomputed_statistics(
    network: nn.Module, batches: Iterable[Tensor], average: Callable[[Tensor], None] = lambda statistics: None
) -> Iterator[None]:
    """Within the context the moving statistics are plain means over `batches` (N, C, H, W) with the present weights;
    after it they are what they were. A network without batch norm is left alone.

    average: makes a tensor its mean over processes, in place, where each has batches of its own.

    Averaged weights need this: the statistics that training has collected belong to other weights. Source: Izmailov et
    al. 2018, arXiv:1803.05407, section 3.2.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    if not norms:
        yield
        return
    own = [(norm.running_mean.clone(), norm.running_var.clone(), norm.momentum) for norm in norms]
    training = network.training
    network.eval()  # dropout would take numbers from the stream of the training
    for norm in norms:
        norm.train()
    with torch.no_grad():
        for number, x in enumerate(batches, start=1):
            for norm in norms:
                norm.momentum = 1.0 / number  # the mean of all batches so far
            network(x)
        for norm in norms:
            average(norm.running_mean)
            average(norm.running_var)
    network.train(training)
    try:
        yield
    finally:
        for norm, (mean, var, momentum) in zip(norms, own, strict=True):
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
            norm.momentum = momentum


@contextmanager
def statistics_of_the_batch(network: nn.Module) -> Iterator[None]:
    """Within the context batch norm normalises with the batch at hand, as in training, and its averages rest."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    own = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (training, momentum) in zip(norms, own, strict=True):
            norm.train(training)
            norm.momentum = momentum

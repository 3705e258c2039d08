"""Moving statistics of batch norm for weights that no training batch has passed through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from paribus.base.torch_internals import RUNNING_NORMS, version
from paribus.techniques.norms.batch_norm import BatchNorm, BatchRenorm, SyncBatchNorm

# What may normalise with these: running_mean and running_var move by the share `momentum` towards the batch's in
# training. A subclass with a forward pass of its own may do anything.
_FORWARD = (BatchNorm.forward, nn.BatchNorm1d.forward, nn.SyncBatchNorm.forward, nn.InstanceNorm1d.forward)
_NORMALISE = (BatchNorm.normalise, BatchRenorm.normalise, SyncBatchNorm.normalise)
_RUNNING = re.compile(r"running|moving|average|avg|ema|num_batches", re.IGNORECASE)


def running_norms(network: nn.Module) -> list[nn.Module]:
    """The norms with moving statistics that can be computed anew: ours, and torch's with track_running_stats."""
    return [module for module in network.modules() if _is_known(module)]


def read_in_training(network: nn.Module) -> list[Tensor]:
    """The buffers that training may read: all but the moving statistics that only evaluations read."""
    norms = [norm for norm in running_norms(network) if not isinstance(norm, BatchRenorm)]
    unread = {id(buffer) for norm in norms for buffer in norm.buffers(recurse=False)}
    return [buffer for buffer in network.buffers() if id(buffer) not in unread]


def unknown_statistics(network: nn.Module, versions: Sequence[int] | None = None) -> list[str]:
    """What else keeps statistics of the data, as "name (Class)": modules whose buffers are called so.

    versions: `buffer_versions` from before a training pass. Modules whose buffers it has changed are meant as well.
    """
    now = buffer_versions(network)
    changed = dict(zip(now, map(int.__ne__, now.values(), versions or now.values()), strict=True))
    found = []
    for name, module in network.named_modules():
        own = dict(module.named_buffers(recurse=False))
        if own and not _is_known(module) and not _is_power_iteration(module):
            names = [f"{name}.{key}" if name else key for key in own]
            if any(_RUNNING.search(key) for key in own) or any(changed[key] for key in names):
                found.append(f"{name or 'the network'} ({type(module).__name__})")
    return found


def buffer_versions(network: nn.Module) -> dict[str, int]:
    """How often each buffer has been changed in place."""
    return {name: version(buffer) for name, buffer in network.named_buffers(remove_duplicate=False)}


def _is_known(module: nn.Module) -> bool:
    if not isinstance(module, (BatchNorm, *RUNNING_NORMS)) or getattr(module, "running_mean", None) is None:
        return False
    if isinstance(module, BatchNorm) and type(module).normalise not in _NORMALISE:
        return False
    return type(module).forward in _FORWARD


def _is_power_iteration(module: nn.Module) -> bool:
    """Spectral norm's: its vectors belong to the weights, and not to the data."""
    return all(re.search(r"(^|_)[uv]$", name) for name, _ in module.named_buffers(recurse=False))


@contextmanager
def recomputed_statistics(
    network: nn.Module, batches: Iterable[Tensor], average: Callable[[Tensor], None] = lambda statistics: None
) -> Iterator[None]:
    """Within the context the moving statistics are plain means over `batches` (N, C, H, W) with the present weights;
    after it they are what they were. A network without `running_norms` is left alone.

    average: makes a tensor its mean over processes, in place, where each has batches of its own.

    Averaged weights need this: the statistics that training has collected belong to other weights. Source: Izmailov et
    al. 2018, arXiv:1803.05407, section 3.2.
    """
    norms = running_norms(network)
    if not norms:
        yield
        return
    with _restored(network, norms):
        with _modes_restored(network):
            network.eval()  # dropout would take numbers from the stream of the training
            for norm in norms:
                norm.train()
            with torch.no_grad():
                for number, x in enumerate(batches, start=1):
                    for norm in norms:
                        norm.momentum = 1.0 / number  # type: ignore[assignment]  # the mean of all batches so far
                    network(x)
                for norm in norms:
                    for statistic in (norm.running_mean, norm.running_var):
                        assert isinstance(statistic, Tensor)
                        average(statistic)
        yield


@contextmanager
def statistics_of_the_batch(network: nn.Module) -> Iterator[None]:
    """Within the context batch norm normalises with the batch at hand, as in training, and its averages rest."""
    norms = running_norms(network)
    with _restored(network, norms), _modes_restored(network):
        for norm in norms:
            norm.train()
            norm.momentum = 0.0  # type: ignore[assignment]
        yield


@contextmanager
def _restored(network: nn.Module, norms: Sequence[nn.Module]) -> Iterator[None]:
    """Afterwards the buffers of the norms are what they were, and their momentum."""
    own = [(norm, norm.momentum, [(buffer, buffer.clone()) for buffer in norm.buffers()]) for norm in norms]
    try:
        yield
    finally:
        for norm, momentum, buffers in own:
            norm.momentum = momentum
            for buffer, value in buffers:
                buffer.copy_(value)


@contextmanager
def _modes_restored(network: nn.Module) -> Iterator[None]:
    """Afterwards each module is in training or evaluation mode as it was."""
    own = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in own:
            module.training = training

"""Networks whose parameters lie in shards on several devices (FSDP2), and the same questions to those that don't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Shard every direct child that has parameters of its own or below, then the rest; in place.

    Source: Zhao et al. 2023, arXiv:2304.11277, in PyTorch's second form of it.
    """
    from torch.distributed.fsdp import fully_shard

    for child in network.children():
        if any(True for _ in child.parameters()):
            fully_shard(child, mesh=mesh)
    fully_shard(network, mesh=mesh)


def is_sharded(network: nn.Module) -> bool:
    return any(isinstance(p, DTensor) for p in network.parameters())


def whole(value: Tensor) -> Tensor:
    """A tensor from its shards; every process must ask. Others are returned as they are."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def full_state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers, whole on every process."""
    return {key: whole(value.detach()).clone() for key, value in network.state_dict().items()}


def load_full_state(network: nn.Module, state: dict[str, Tensor]) -> None:
    """The inverse of full_state."""
    if not is_sharded(network):
        network.load_state_dict(state)
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    set_model_state_dict(network, dict(state), options=StateDictOptions(full_state_dict=True))


@contextmanager
def swapped(network: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """The network with other parameters and buffers, for the time of the context."""
    own = full_state(network)
    load_full_state(network, weights)
    try:
        yield
    finally:
        load_full_state(network, own)

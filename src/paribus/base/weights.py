"""The trainable parameters of a network as one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flatten(network: nn.Module) -> Tensor:
    """A copy of the trainable parameters as one vector (n,), in the order of named_parameters()."""
    return torch.cat([p.detach().reshape(-1) for p in network.parameters() if p.requires_grad])


def unflatten_into(network: nn.Module, theta: Tensor) -> None:
    """The inverse of flatten: overwrite the trainable parameters of a network."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    with torch.no_grad():
        for p, part in zip(parameters, theta.split([p.numel() for p in parameters]), strict=True):
            p.copy_(part.view(p.shape))

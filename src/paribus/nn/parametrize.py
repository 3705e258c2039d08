"""Weight parametrizations of every linear and convolutional layer of a network, in place."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrizations

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers whose weights are parametrized."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, LAYERS)]


def weight_norm(network: nn.Module) -> None:
    r"""$w = g\, v / \|v\|$ per output: a length g and a direction v for the weights of each unit.

    The gradient in v is orthogonal to v; weight decay on v would only change its effective learning rate, so it is
    kept off (see paribus.nn.decay).

    Raises ValueError for a weight that is zero, which has no direction.

    Source: Salimans & Kingma 2016, arXiv:1602.07868; without its data-dependent initialisation.
    """
    for name, module in layers(network):
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        if weight.device.type != "meta" and bool((weight.detach().flatten(1).norm(dim=1) == 0).any()):
            raise ValueError(
                f"weight norm needs a direction for each unit, and {name}.weight starts with a zero row. Use another "
                "initialisation for that layer, or norm=spectral"
            )
        parametrizations.weight_norm(module, dim=0)


def spectral_norm(network: nn.Module, *, n_power_iterations: int = 1, eps: float = 1e-12) -> None:
    r"""$w \leftarrow w / \sigma(w)$ with the largest singular value $\sigma$ estimated by power iteration.

    Each layer then has Lipschitz constant 1 with respect to the matrix (out, in * kh * kw); for a convolution that is
    not its operator norm, which is larger by at most sqrt(kh * kw). Every access in training runs the iteration
    once more; in evaluation the vectors stay as they are.

    Source: Yoshida & Miyato 2017, arXiv:1705.10941; Miyato et al. 2018, arXiv:1802.05957.
    """
    for _, module in layers(network):
        weight = module.weight
        if isinstance(weight, torch.Tensor) and weight.device.type == "meta":
            # Its constructor iterates on real numbers. A meta network is only looked at for its shapes.
            continue
        parametrizations.spectral_norm(module, n_power_iterations=n_power_iterations, eps=eps)

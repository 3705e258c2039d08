"""Weight parametrizations of every linear and convolutional layer of a network, in place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm
from torch.nn.utils.parametrize import register_parametrization

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
        module.parametrizations.weight[0].__class__ = WeightNorm  # type: ignore[union-attr, index]


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
        assert isinstance(weight, Tensor)
        register_parametrization(module, "weight", SpectralNorm(weight, n_power_iterations, 0, eps))


class WeightNorm(_WeightNorm):
    """torch's, in operations that torch.func.vmap knows: its fused kernel would run once for each replica of a stack.

    weight_g (out, 1, ...), weight_v (out, ...).
    """

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / weight_v.flatten(1).norm(dim=1).view_as(weight_g))


class SpectralNorm(_SpectralNorm):
    """torch's, without out= arguments, which torch.func.vmap does not take: the same numbers, bit for bit."""

    @torch.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(F.normalize(torch.mv(weight_mat, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(torch.mv(weight_mat.H, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # backward needs those of this pass
        return weight / torch.dot(u, torch.mv(matrix, v))

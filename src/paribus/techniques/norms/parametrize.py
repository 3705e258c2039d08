"""Weight parametrizations of every linear and convolutional layer of a network, in place."""

from __future__ import annotations

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers whose weights are parametrized. Raises ValueError where another module has the same weight."""
    found: list[tuple[str, nn.Module]] = [each for each in network.named_modules() if isinstance(each[1], LAYERS)]
    owners = Counter(id(p) for module in network.modules() for p in module.parameters(recurse=False))
    for name, module in found:
        if any(owners[id(p)] > 1 for p in module.parameters(recurse=False)):
            raise ValueError(
                f"{name}.weight is the weight of another layer too, and a parametrization would part them. Use "
                "model.tied=false, or norms of activations only"
            )
    return found


def weight_norm(network: nn.Module) -> None:
    r"""$w = g\, v / \|v\|$ per output: a length g and a direction v for the weights of each unit.

    The gradient in v is orthogonal to v; weight decay on v would only change its effective learning rate, so it is
    kept off (see paribus.techniques.optimizers.decay).

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
        register_parametrization(module, "weight", WeightNorm(), unsafe=True)  # unsafe: it makes two tensors of one


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
        register_parametrization(module, "weight", SpectralNorm(weight, n_power_iterations, eps))


class WeightNorm(nn.Module):
    """w = g v / |v| for each output, in operations that torch.func.vmap knows and that can be differentiated twice.

    torch's own fused kernel would run once for each replica of a stack, and its second derivative is wrong on CPUs.

    weight_g (out, 1, ...), weight_v (out, ...), named as by torch.nn.utils.parametrizations.weight_norm.
    """

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        result: Tensor = weight_v * (weight_g / weight_v.flatten(1).norm(dim=1).view_as(weight_g))
        return result

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return torch.norm_except_dim(weight, 2, 0), weight


class SpectralNorm(nn.Module):
    """w / sigma(w), as torch.nn.utils.parametrizations.spectral_norm, bit for bit and with its names.

    It has no out= arguments, which torch.func.vmap does not take.

    weight: at the start, (out, ...): the vectors u (out,) and v (in * kh * kw,) begin at random and iterate 15 times.
    """

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, eps: float = 1e-12):
        if n_power_iterations < 1:
            raise ValueError(f"n_power_iterations must be at least 1, got {n_power_iterations}. Use 1")
        super().__init__()
        self._u: Tensor
        self._v: Tensor
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        matrix = weight.flatten(1)
        rows, columns = matrix.shape
        u, v = matrix.new_empty(rows).normal_(0, 1), matrix.new_empty(columns).normal_(0, 1)
        self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
        self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
        self._iterate(matrix, 15)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> None:
        for _ in range(times):
            self._u.copy_(F.normalize(torch.mv(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(torch.mv(matrix.H, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # backward needs those of this pass
        return weight / torch.dot(u, torch.mv(matrix, v))

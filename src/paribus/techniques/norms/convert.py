"""The conversion of a network with batch norm to any norm of conf/norm."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import BatchNorm1d, BatchNorm2d

from paribus.techniques.norms.norm import Layout, NormFactory, make


def replace_batch_norm(
    network: nn.Module, norm: NormFactory | None, weight: Callable[[nn.Module], None] | None = None
) -> nn.Module:
    """The same network with `norm` in place of every BatchNorm1d and BatchNorm2d; None takes them out.

    weight: a parametrization that is then applied to all of its layers, e.g. norms.parametrize.weight_norm.

    Scales and shifts start anew; everything else is kept. The network is changed in place and returned (a network
    that is itself a batch norm is replaced). Layers that had no bias because of batch norm still have none.

    Raises ValueError where the norm can't work with the channels of a layer, naming the layer.
    """

    def replaced(module: nn.Module, where: str) -> nn.Module:
        if isinstance(module, BatchNorm1d | BatchNorm2d):
            layout: Layout = "map" if isinstance(module, BatchNorm2d) else "vector"
            try:
                return make(norm, module.num_features, layout).train(module.training)
            except ValueError as error:
                raise ValueError(f"{where or 'the network'}: {error}") from error
        for name, child in module.named_children():
            setattr(module, name, replaced(child, f"{where}.{name}" if where else name))
        return module

    network = replaced(network, "")
    if weight is not None:
        weight(network)
    return network

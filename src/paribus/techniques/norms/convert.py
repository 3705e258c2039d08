"""The conversion of the norms of any network to those of conf/norm."""

from __future__ import annotations

import math

from torch import Tensor, nn

from paribus.base.torch_internals import RUNNING_NORMS
from paribus.techniques.norms.norm import Layout, NormFactory, make


def replace_norms(network: nn.Module, norm: NormFactory | None) -> list[str]:
    """Put `norm` in place of every norm of torch within a network, or the identity where it is None. Their names.

    Those of channels first (batch, instance and group norm) become norms of maps, and those of channels last (layer
    and rms norm) norms of tokens. Scales and shifts start anew; everything else is kept. The network is changed in
    place. Layers that had no bias because of their norm still have none.

    Raises ValueError where the norm can't work with the channels of a layer, naming the layer.
    """
    made: dict[int, nn.Module] = {}  # a norm that stands in two places is one afterwards, too
    names = []
    for where, parent in list(network.named_modules()):
        for name, child in list(parent.named_children()):
            if (shape := _shape(child)) is None:
                continue
            full = f"{where}.{name}" if where else name
            names.append(full)
            if id(child) not in made:
                channels, layout = shape
                try:
                    made[id(child)] = Placed(make(norm, channels, layout), layout) if norm else nn.Identity()
                except ValueError as error:
                    raise ValueError(f"{full}: {error}") from error
                weight = next(child.parameters(), None)
                if weight is not None:
                    made[id(child)].to(weight.device, weight.dtype)
                made[id(child)].train(child.training)
            setattr(parent, name, made[id(child)])
    return names


def _shape(module: nn.Module) -> tuple[int, Layout] | None:
    """The channels of a norm of torch and where they lie; None for any other module."""
    if isinstance(module, RUNNING_NORMS):
        return int(module.num_features), "map"  # type: ignore[arg-type]
    if isinstance(module, nn.GroupNorm):
        return module.num_channels, "map"
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        shape = tuple(module.normalized_shape)
        return shape[0], "tokens" if len(shape) == 1 else "map"
    return None


class Placed(nn.Module):
    """A norm of maps (N, C, H, W) or tokens (N, T, C) where the tensors may have other numbers of axes.

    Missing places count as one, and further ones are taken together: (N, C) as (N, C, 1, 1) or (N, 1, C),
    (N, C, D, H, W) as (N, C, D, H W), and (N, H, W, C) as (N, H W, C).
    """

    eps = math.nan  # equal to none, not to itself: torch's encoder layers then call their norms as they are

    def __init__(self, norm: nn.Module, layout: Layout):
        super().__init__()
        self.norm = norm
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        if self.layout == "tokens":
            x = x if x.ndim == 3 else x.reshape(shape[0], -1, shape[-1])
        elif x.ndim < 4:
            x = x.reshape(*shape, *(1,) * (4 - x.ndim))
        elif x.ndim > 4:
            x = x.flatten(3)
        result: Tensor = self.norm(x)
        return result.reshape(shape)

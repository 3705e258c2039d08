"""Parameters that weight decay is kept off by default."""

from __future__ import annotations

from torch import nn

from paribus.base.torch_internals import RUNNING_NORMS
from paribus.techniques.norms.batch_norm import BatchNorm

_NORMS: tuple[type[nn.Module], ...] = (BatchNorm, *RUNNING_NORMS, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def no_decay_parameters(network: nn.Module) -> set[str]:
    """Names of biases, norms' parameters, and other vectors; weight norm's directions and lengths; embeddings.

    Decay acts on what multiplies activations. Scales and shifts are few and free, and the length of a weight-norm
    direction has no meaning (van Laarhoven 2017, arXiv:1706.05350).

    The type of a module decides:

        norms of torch and conf/norm               nothing of them decays
        nn.Embedding, nn.EmbeddingBag              their tables do not, unless a linear layer shares one
        linear and convolutional layers of torch   the weight decays, be it a single row
        any other module                           a parameter decays if two or more of its axes are longer than 1:
                                                   a scale of shape (C,), (C, 1, 1) or (1, 1, C) does not

    Positions and class tokens are parameters of a module of one's own, with two axes and more: they decay unless the
    module names them, in an attribute `no_decay` (names) or in a method `no_weight_decay()` that returns them, as
    networks of timm have it.
    """
    # Not layer.weight: a parametrized one would be computed, and spectral norm's vectors would move.
    layers = [module for module in network.modules() if isinstance(module, _LAYERS)]
    multiplying = {id(p) for layer in layers for name, p in layer.named_parameters(recurse=False) if name == "weight"}
    names = set()
    for prefix, module in network.named_modules():
        norm = isinstance(module, _NORMS)
        listed = _listed(module)
        for name, parameter in module.named_parameters(recurse=False):
            table = isinstance(module, _EMBEDDINGS) and id(parameter) not in multiplying
            layer = isinstance(module, _LAYERS) or type(module).__name__ == "ParametrizationList"
            vector = parameter.ndim < 2 or (not layer and parameter.numel() == max(parameter.shape))
            if norm or table or vector or name in listed or name == "bias":
                names.add(f"{prefix}.{name}" if prefix else name)
        names.update(f"{prefix}.{name}" if prefix else name for name in listed if "." in name)
        if type(module).__name__ == "ParametrizationList" and hasattr(module, "original1"):
            names.update({f"{prefix}.original0", f"{prefix}.original1"})
    return names


def _listed(module: nn.Module) -> set[str]:
    """Names of parameters that a module says decay is to be kept off."""
    method = getattr(module, "no_weight_decay", None)
    return {*getattr(module, "no_decay", ()), *(method() if callable(method) else ())}

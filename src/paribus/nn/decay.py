"""Which parameters weight decay is kept off by default."""

from __future__ import annotations

from torch import nn

from paribus.nn.batch_norm import BatchNorm

_NORMS = (
    BatchNorm,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def no_decay_parameters(network: nn.Module) -> set[str]:
    """Names of biases, norms' parameters, and other vectors; weight norm's directions and lengths; embeddings.

    Decay acts on what multiplies activations. Scales and shifts are few and free, and the length of a weight-norm
    direction has no meaning (van Laarhoven 2017, arXiv:1706.05350). A module's attribute `no_decay` names more.
    """
    names = set()
    for prefix, module in network.named_modules():
        norm = isinstance(module, _NORMS)
        listed = getattr(module, "no_decay", ())
        for name, parameter in module.named_parameters(recurse=False):
            if norm or name in listed or name == "bias" or parameter.ndim < 2:
                names.add(f"{prefix}.{name}" if prefix else name)
        if type(module).__name__ == "ParametrizationList" and hasattr(module, "original1"):
            names.update({f"{prefix}.original0", f"{prefix}.original1"})
    return names

"""Networks of others whose forward gives more than a tensor: those of Hugging Face give an object with `logits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def with_tensors(network: nn.Module) -> nn.Module:
    """The same network, whose forward gives a tensor: itself where it is one, and else the `logits` within it.

    Parameters keep their names, and nothing is wrapped: the network gets a subclass of its class.
    """
    known = type(network).__module__.partition(".")[0] in ("paribus", "torch")
    if not known and not isinstance(network, torch.jit.ScriptModule):
        network.__class__ = _reading(type(network))
    return network


_made: dict[type[nn.Module], type[nn.Module]] = {}  # networks of one class stay networks of one class


def _reading(cls: type[nn.Module]) -> type[nn.Module]:
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        return tensor_of(cls.forward(self, *args, **kwargs), cls.__name__)

    if cls not in _made:
        own = {"forward": forward, "__module__": cls.__module__, "__doc__": cls.__doc__}
        _made[cls] = type(cls.__name__, (cls,), own)
    return _made[cls]


def tensor_of(found: Any, name: str) -> Tensor:
    """The outputs within what a forward pass gave. Raises TypeError where there are none."""
    if isinstance(found, Tensor):
        return found
    logits = found.get("logits") if isinstance(found, Mapping) else getattr(found, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    raise TypeError(
        f"the forward pass of a network gives a tensor, or an object with a tensor `logits`, and that of {name} gave "
        f"{type(found).__name__}. Let it return the outputs alone"
    )

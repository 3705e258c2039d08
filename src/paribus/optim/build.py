"""Parameter groups: which parameters decay, which are matrices; and the weights that an optimizer evaluates with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from paribus.nn.decay import no_decay_parameters


def build_optimizer(
    make: Callable[..., Optimizer], network: nn.Module, *, decay: Literal["weights", "all"] = "weights"
) -> Optimizer:
    """make(parameter groups) with weight decay kept off biases, norms and directions (decay="weights").

    make: a partial of an optimizer's class, e.g. functools.partial(torch.optim.SGD, lr=0.1).

    Muon's groups are the hidden matrices (kernels of convolutions as matrices) on one side, and everything else, the
    output layer included, for its AdamW on the other.

    Raises ValueError where the optimizer refuses a value.
    """
    options: dict[str, Any] = dict(getattr(make, "keywords", {}))
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("the network has no trainable parameters")
    kept_off = no_decay_parameters(network) if decay == "weights" else set()
    is_muon = getattr(make, "func", make).__name__ == "Muon"
    matrices = _hidden_matrices(network) if is_muon else set()

    groups: dict[tuple[bool, bool], list[torch.Tensor]] = {}
    for name, parameter in named:
        groups.setdefault((name in matrices, name in kept_off), []).append(parameter)
    listed: list[dict[str, Any]] = []
    for (is_matrix, undecayed), parameters in groups.items():
        group: dict[str, Any] = {"params": parameters}
        if is_muon:
            group["use_muon"] = is_matrix
        if undecayed:
            group["weight_decay"] = 0.0
        listed.append(group)

    changed: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, list | tuple):  # YAML reads 1 as an integer, and torch wants floats in betas
            changed[key] = tuple(float(item) if isinstance(item, int) else item for item in value)
    if options.get("fused") and any(p.device.type == "meta" for _, p in named):
        changed["fused"] = False  # the fused kernels have no form without memory
    try:
        return make(listed, **changed)
    except Exception as error:  # every library has its own kinds for a value out of range
        shown = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ValueError(f"{getattr(make, 'func', make).__name__}({shown}) can't be built: {error}") from error


def _hidden_matrices(network: nn.Module) -> set[str]:
    """Weights of two and more dimensions but for the output layer's and those that never decay (embeddings)."""
    linears = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    output = f"{linears[-1]}." if linears else None
    kept_off = no_decay_parameters(network)
    return {
        name
        for name, p in network.named_parameters()
        if p.ndim >= 2 and name not in kept_off and not (output and name.startswith(output))
    }


@contextmanager
def evaluation_weights(optimizer: Optimizer) -> Iterator[None]:
    """The weights that a schedule-free optimizer evaluates with; others train and evaluate with the same.

    Its own eval() and train() undo each other up to rounding. The training weights are copied back instead, so that
    looking at a run does not change it.

    Source: Defazio et al. 2024, arXiv:2405.15682.
    """
    if not (hasattr(optimizer, "eval") and hasattr(optimizer, "train")):
        yield
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    with torch.no_grad():
        own = [p.detach().clone() for p in parameters]
        optimizer.eval()
        try:
            yield
        finally:
            optimizer.train()
            for p, value in zip(parameters, own, strict=True):
                p.copy_(value)

"""Frozen parameters: for the whole run, or until an epoch."""

from __future__ import annotations

from torch import nn

from paribus.config.parts import Freeze
from paribus.techniques.optimizers.build import matching


def freeze(network: nn.Module, section: Freeze) -> dict[str, int]:
    """Freeze what is never trained, in place; name -> the epoch until which a parameter is frozen, of the others.

    A parameter that several patterns fit is frozen by the first. Moving statistics of norms go on moving.

    Raises ValueError for a pattern that fits no parameter.
    """
    until: dict[str, int] = {}
    left = dict(network.named_parameters())
    for pattern, epoch in section.until.items():
        names = matching(pattern, [name for name, _ in network.named_parameters()])
        for name in names:
            if (p := left.pop(name, None)) is None:
                continue
            if epoch is None:
                p.requires_grad_(False)
            else:
                until[name] = epoch
    return until

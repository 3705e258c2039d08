"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def clip_gradients(parameters: Iterable[Tensor], *, norm: float | None = None, value: float | None = None) -> None:
    r"""Limit every gradient entry to [-value, value], then the norm of all of them: $g \leftarrow g \min(1, norm / \|g\|_2)$.

    Source: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063.
    """
    parameters = [p for p in parameters if p.grad is not None]
    if value is not None:
        torch.nn.utils.clip_grad_value_(parameters, value)
    if norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters, norm)

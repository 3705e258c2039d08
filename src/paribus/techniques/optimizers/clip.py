"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def clip_gradients(
    parameters: Iterable[Tensor], *, norm: float | None = None, value: float | None = None
) -> Tensor | None:
    r"""Limit every entry to [-value, value], then the norm of all of them to `norm`.

    $g \leftarrow g \min(1, norm / (\|g\|_2 + 10^{-6}))$ with all gradients as one vector g.

    Returns $\|g\|_2$ after the first step and before the second, a scalar, or None where norm is None. A norm
    that is not finite is not hidden: it makes gradients NaN, and the run is seen to diverge.

    Raises ValueError for a limit that is not positive.

    Source: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063.
    """
    for name, limit in {"norm": norm, "value": value}.items():
        if limit is not None and not limit > 0:
            raise ValueError(f"clip.{name} must be positive, got {limit}. Leave it null to clip nothing")
    parameters = [p for p in parameters if p.grad is not None]
    if value is not None:
        torch.nn.utils.clip_grad_value_(parameters, value)
    return None if norm is None else torch.nn.utils.clip_grad_norm_(parameters, norm)

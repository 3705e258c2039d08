"""Gradient clipping for each replica of a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from paribus.run.metrics import wide


def norms(grads: Mapping[str, Tensor]) -> Tensor:
    """The 2-norm of all gradients of each replica, (R,), from stacked ones (R, ...)."""
    result: Tensor = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads.values()]).norm(
        dim=0
    )
    return result


class StackedClip:
    """Clips each replica's gradients as `clip_gradients` does alone.

    norm, value: limits for each replica; None for those that are not clipped.
    """

    def __init__(self, norm: Sequence[float | None], value: Sequence[float | None], device: torch.device):
        self.norm = _limits(norm, device)
        self.value = _limits(value, device)

    @property
    def clips(self) -> bool:
        return self.norm is not None or self.value is not None

    def __call__(self, grads: dict[str, Tensor]) -> None:
        """In place."""
        if self.value is not None:
            for grad in grads.values():
                limit = _column(self.value.to(grad.dtype), grad)
                torch.minimum(torch.maximum(grad, -limit, out=grad), limit, out=grad)
        if self.norm is not None:
            factor = (self.norm / (norms(grads) + 1e-6)).clamp(max=1.0)
            factor = torch.where(self.norm.isinf(), torch.ones_like(factor), factor)
            for grad in grads.values():
                grad.mul_(_column(factor.to(grad.dtype), grad))


def _limits(values: Sequence[float | None], device: torch.device) -> Tensor | None:
    if all(value is None for value in values):
        return None
    limits = [torch.inf if value is None else value for value in values]
    return torch.tensor(limits, dtype=wide(device), device=device)


def _column(values: Tensor, grad: Tensor) -> Tensor:
    return values.view(-1, *([1] * (grad.ndim - 1)))

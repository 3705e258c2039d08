"""Mixed precision in float16, whose losses are scaled so that small gradients are not rounded to zero."""

from __future__ import annotations

import torch
from pytorch_lightning.plugins import MixedPrecision
from torch.optim import Optimizer


class Scaler(torch.amp.GradScaler):
    """A gradient scaler that takes several calls of `unscale_` before a step for one.

    The loop asks first, since norms are recorded and clipped without the scale. Lightning asks again before a step of
    optimizers that don't know of scales, which torch's own refuses.
    """

    def __init__(self, device: str):
        super().__init__(device)
        self._unscaled: set[int] = set()

    def unscale_(self, optimizer: Optimizer) -> None:
        if id(optimizer) not in self._unscaled:
            super().unscale_(optimizer)
            self._unscaled.add(id(optimizer))

    def update(self, new_scale: float | torch.Tensor | None = None) -> None:
        super().update(new_scale)
        self._unscaled.clear()


def mixed_in_float16(device: str) -> MixedPrecision:
    """What Lightning is given for 16-mixed. By itself it would train in bf16-mixed on a CPU, under the other name."""
    return MixedPrecision("16-mixed", device, Scaler(device))

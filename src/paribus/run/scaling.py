"""Mixed precision in float16, whose losses are scaled so that small gradients are not rounded to zero."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning.plugins import MixedPrecision
from torch.optim import Optimizer

from paribus.base.errors import UserError
from paribus.config.run import Run


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


def precision_of(run: Run) -> dict[str, Any]:
    """What Lightning's Trainer is told of the precision.

    Lightning turns 16-mixed on a CPU into bf16-mixed with a warning, and the record would hold what was not done.

    Raises UserError for a precision that the strategy does not have.
    """
    precision = run.precision
    if run.trainer.strategy == "fsdp" and precision in ("16-mixed", "64-true"):
        raise UserError(
            f"trainer.strategy=fsdp has no trainer.precision={precision}. Use bf16-mixed or 32-true, or trainer=ddp"
        )
    if precision != "16-mixed":
        return {"precision": precision}
    return {"plugins": [MixedPrecision("16-mixed", run.device, Scaler(run.device))]}

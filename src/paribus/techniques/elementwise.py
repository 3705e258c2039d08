"""The base of losses that add up over the numbers of a sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ElementwiseLoss(nn.Module):
    """The mean of `elementwise` over the T numbers of a sample and the samples of a batch.

    Shapes: outputs z (N, T), targets y (N, T). Half-precision outputs are computed with in float32.
    """

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each number, (N, T)."""
        raise NotImplementedError

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (N,)."""
        outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        return self.elementwise(outputs, target.to(outputs.dtype)).mean(1)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.per_sample(outputs, target).mean()

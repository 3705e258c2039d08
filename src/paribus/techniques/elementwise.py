"""The bases of losses: means over samples, and of those that add up over the numbers of a sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MeanLoss(nn.Module):
    """The mean of `per_sample` over a batch: sum(per_sample) / sum(weights)."""

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (N,), times its weight where it has one."""
        raise NotImplementedError

    def weights(self, target: Tensor) -> Tensor | None:
        """How much each sample counts in the mean, (N,); None where all count alike."""
        return None

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.per_sample(outputs, target).mean()


class ElementwiseLoss(MeanLoss):
    """The mean of `elementwise` over the T numbers of a sample and the samples of a batch.

    Shapes: outputs z (N, T), targets y (N, T). Half-precision outputs are computed with in float32.
    """

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each number, (N, T)."""
        raise NotImplementedError

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        return self.elementwise(outputs, target.to(outputs.dtype)).mean(1)

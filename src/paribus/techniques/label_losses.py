r"""Losses for multi-label classification.

Shapes: outputs z (N, K), targets y (N, K), 0 or 1 or between. Half-precision outputs are computed with in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LabelLoss(nn.Module):
    """The mean of `elementwise` over the K labels of a sample and the samples of a batch."""

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each label, (N, K)."""
        raise NotImplementedError

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (N,)."""
        outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        return self.elementwise(outputs, target.to(outputs.dtype)).mean(1)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.per_sample(outputs, target).mean()


class BinaryCrossEntropy(LabelLoss):
    r"""$-y \log \sigma(z) - (1 - y) \log(1 - \sigma(z))$, for each label by itself, with the logistic function
    $\sigma$.
    """

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, target, reduction="none")

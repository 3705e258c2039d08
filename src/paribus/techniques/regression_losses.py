r"""Losses for regression.

Shapes: outputs z (N, T), targets y (N, T): T numbers for each sample. Half-precision outputs are computed with in
float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RegressionLoss(nn.Module):
    """The mean of `elementwise` over the T numbers of a sample and the samples of a batch."""

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each number, (N, T)."""
        raise NotImplementedError

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (N,)."""
        outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        return self.elementwise(outputs, target.to(outputs.dtype)).mean(1)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.per_sample(outputs, target).mean()


class MeanSquaredError(RegressionLoss):
    r"""$(z - y)^2$. Its minimiser is the conditional mean."""

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).square()


class MeanAbsoluteError(RegressionLoss):
    r"""$|z - y|$. Its minimiser is the conditional median."""

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).abs()


class Huber(RegressionLoss):
    r"""$\frac{1}{2}(z - y)^2$ for $|z - y| \le \delta$, else $\delta\,(|z - y| - \frac{1}{2}\delta)$.

    delta: in standard deviations of the training targets, since networks learn standardised targets.

    Source: Huber 1964.
    """

    def __init__(self, delta: float = 1.0):
        super().__init__()
        if not delta > 0:
            raise ValueError(f"delta must be positive, got {delta}. Try 1.0")
        self.delta = delta

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(outputs, target, reduction="none", delta=self.delta)

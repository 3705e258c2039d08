"""Losses for regression: outputs (N, T), targets (N, T), T numbers for each sample."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from paribus.techniques.elementwise import ElementwiseLoss


class RegressionLoss(ElementwiseLoss):
    """A loss of T numbers for each sample."""


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

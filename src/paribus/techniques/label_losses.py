"""Losses for multi-label classification: outputs (N, K), targets (N, K) of 0 or 1 or between."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from paribus.techniques.elementwise import ElementwiseLoss


class LabelLoss(ElementwiseLoss):
    """A loss of K labels for each sample."""


class BinaryCrossEntropy(LabelLoss):
    r"""$-y \log \sigma(z) - (1 - y) \log(1 - \sigma(z))$, for each label by itself, with the logistic function
    $\sigma$.
    """

    def elementwise(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, target, reduction="none")

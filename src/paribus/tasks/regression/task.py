"""Regression as a task: networks learn standardised targets, and metrics are in the units of the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from paribus.datasets.prepare import Splits
from paribus.techniques.regression_losses import RegressionLoss


class Regression(nn.Module):
    r"""T numbers for each sample. A network learns $(y - \mu) / \sigma$, with the statistics of the training targets.

    So learning rates mean the same whatever the units. `predict` turns outputs into the units of the data, in which
    mae and rmse are; the loss is that of standardised targets.

    Shapes: outputs (N, T), targets (N,) for T = 1, or (N, T).

    Metrics, each a mean over the T numbers: loss; mae $\frac{1}{n} \sum |\hat y - y|$; rmse
    $\sqrt{\frac{1}{n} \sum (\hat y - y)^2}$ (the root of the mean over the T numbers); and in an evaluation r2,
    $1 - \sum (\hat y - y)^2 / \sum (y - \bar y)^2$ with the mean of the evaluated targets, nan where they do not vary.
    """

    mean: Tensor
    std: Tensor
    augments = False

    def __init__(self, loss: RegressionLoss, num_outputs: int = 1):
        super().__init__()
        self.criterion = loss
        self.num_outputs = num_outputs
        self.training_size = 2 * num_outputs  # absolute and squared errors
        # Samples and the loss; then for each number: absolute and squared errors, the target and its square, which are
        # taken from the mean of the training targets so that they do not cancel.
        self.evaluation_size = 2 + 4 * num_outputs
        self.register_buffer("mean", torch.zeros(num_outputs), persistent=False)
        self.register_buffer("std", torch.ones(num_outputs), persistent=False)
        self._chance: dict[str, float] = {}

    def prepare(self, splits: Splits) -> None:
        train, test = (part.y.double().reshape(len(part), -1) for part in (splits.train, splits.test))
        mean, std = train.mean(0), train.std(0, correction=0)
        std[std == 0] = 1.0
        self.mean.copy_(mean)
        self.std.copy_(std)
        errors = test - mean
        mae, mse = float(errors.abs().mean()), float(errors.square().mean())
        self._chance = {"mae": mae, "rmse": math.sqrt(mse), "r2": 0.0}

    def augment(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return x, y

    def predict(self, outputs: Tensor) -> Tensor:
        """Outputs (..., T) in the units of the data."""
        return outputs * self.std.to(outputs.dtype) + self.mean.to(outputs.dtype)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        mean: Tensor = self.criterion(outputs, self._standardised(outputs, target))
        return mean

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.criterion.per_sample(outputs, self._standardised(outputs, target))

    def training_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        errors = self.predict(outputs.to(dtype)) - _columns(outputs, target).to(dtype)
        return torch.cat([errors.abs().sum(-2), errors.square().sum(-2)], -1)

    def training_metrics(self, loss: float, sums: list[float], samples: int) -> dict[str, float]:
        absolute, squared = (sum(sums[: self.num_outputs]), sum(sums[self.num_outputs :]))
        numbers = samples * self.num_outputs
        return {"loss": loss, "mae": absolute / numbers, "rmse": math.sqrt(squared / numbers)}

    def evaluation_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        replicas, samples = outputs.shape[:2]
        target = _columns(outputs[0], target)
        losses = self.per_sample(outputs.flatten(0, 1), target.repeat(replicas, 1)).view(replicas, samples)
        errors = self.predict(outputs.to(dtype)) - target.to(dtype)
        around = (target.to(dtype) - self.mean.to(dtype)).expand_as(errors)
        number = torch.full((replicas, 1), samples, dtype=dtype, device=outputs.device)
        sums = [errors.abs(), errors.square(), around, around.square()]
        return torch.cat([number, losses.sum(1, keepdim=True, dtype=dtype), *(each.sum(1) for each in sums)], 1)

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        samples, loss = sums[:2].tolist()
        if samples == 0:
            return dict.fromkeys(("loss", "mae", "rmse", "r2"), math.nan)
        absolute, squared, around, square = sums[2:].view(4, self.num_outputs)
        total = square - around.square() / samples
        varies = total > 1e-12 * square  # else they are equal but for rounding
        r2 = torch.where(varies, 1 - squared / total, math.nan)
        return {
            "loss": loss / samples,
            "mae": float(absolute.mean()) / samples,
            "rmse": math.sqrt(float(squared.mean()) / samples),
            "r2": float(r2.mean()),
        }

    def unavailable(self, metric: str) -> str | None:
        return None

    def chance(self) -> dict[str, float]:
        """The scores on the test set of the mean of the training targets; r2 is 0 but for the gap of the two means."""
        return dict(self._chance)

    def _standardised(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (_columns(outputs, target) - self.mean) / self.std


def _columns(outputs: Tensor, target: Tensor) -> Tensor:
    """Targets in the shape of the outputs: (..., N) as (..., N, 1)."""
    return target.unsqueeze(-1) if target.ndim < outputs.ndim else target

"""Regression as a task: networks learn standardised targets, and metrics are in the units of the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from paribus.datasets.prepare import Splits
from paribus.datasets.source import Form
from paribus.tasks.supervised import Supervised
from paribus.techniques.augment import Augmentation
from paribus.techniques.regression_losses import RegressionLoss


class Regression(Supervised):
    r"""T numbers for each sample. A network learns $(y - \mu) / \sigma$, with the statistics of the training targets.

    So learning rates mean the same whatever the units. `predict` turns outputs into the units of the data, in which
    mae and rmse are; the loss is that of standardised targets. An augmentation sees targets in the units of the data.

    Shapes: outputs (N, T), targets (N,) for T = 1, or (N, T).

    Metrics, each a mean over the T numbers: loss; mae $\frac{1}{n} \sum |\hat y - y|$; rmse
    $\sqrt{\frac{1}{n} \sum (\hat y - y)^2}$ (the root of the mean over the T numbers); and in an evaluation r2,
    $1 - \sum (\hat y - y)^2 / \sum (y - \bar y)^2$ with the mean of the evaluated targets, nan where they do not vary.
    """

    kinds_of_y = ("number",)
    mean: Tensor
    std: Tensor

    def __init__(self, form: Form, loss: RegressionLoss, augmentation: Augmentation):
        if not isinstance(loss, RegressionLoss):
            raise ValueError(
                f"regression needs a loss of numbers, got {type(loss).__name__}. Use loss=squared_error, "
                "absolute_error or huber, or a subclass of paribus.techniques.regression_losses.RegressionLoss"
            )
        super().__init__(loss, augmentation, form.num_outputs, 0)
        self.training_size = 2 * self.num_outputs  # absolute and squared errors
        # Samples and the loss; then for each number: absolute and squared errors, the target and its square, which are
        # taken from the mean of the training targets so that they do not cancel.
        self.evaluation_size = 2 + 4 * self.num_outputs
        self.register_buffer("mean", torch.zeros(self.num_outputs), persistent=False)
        self.register_buffer("std", torch.ones(self.num_outputs), persistent=False)

    def prepare(self, splits: Splits) -> None:
        assert splits.target_mean is not None
        assert splits.target_std is not None
        self.mean.copy_(splits.target_mean)
        self.std.copy_(splits.target_std)
        y = splits.test.y.double()
        errors = y - splits.target_mean.double()
        around = y - y.mean(0)
        mae, mse = float(errors.abs().mean()), float(errors.square().mean())
        r2 = 1 - errors.square().reshape(len(y), -1).sum(0) / around.square().reshape(len(y), -1).sum(0)
        self._chance = {"mae": mae, "rmse": math.sqrt(mse), "r2": float(r2.mean())}

    def predictions(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted numbers in the units of the data and in the shape of the targets, (N,) or (N, T); the targets."""
        return self.predict(outputs.float()).view_as(target), target

    def predict(self, outputs: Tensor) -> Tensor:
        """Outputs (..., T) in the units of the data."""
        return outputs * self.std.to(outputs) + self.mean.to(outputs)

    def goal(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Standardised, in the shape of the outputs."""
        return (_columns(outputs, target) - self.mean.to(outputs.device)) / self.std.to(outputs.device)

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
        around = (target.to(dtype) - self.mean.to(errors)).expand_as(errors)
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


def _columns(outputs: Tensor, target: Tensor) -> Tensor:
    """Targets in the shape of the outputs: (..., N) as (..., N, 1)."""
    return target.unsqueeze(-1) if target.ndim < outputs.ndim else target

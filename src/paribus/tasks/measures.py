"""Metrics that are no sums: torchmetrics' classes, which see every prediction of an evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

Predictions = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Measures:
    """Metrics by name, over one evaluation at a time. `compute` merges the processes that train together.

    predictions: outputs (N, O) and targets -> what metrics are computed of, see `Task.predictions`.
    numbers: T of targets that are T numbers. The values of a metric that gives one for each are averaged.
    """

    def __init__(self, metrics: Mapping[str, Metric], predictions: Predictions, numbers: int = 1):
        self.metrics = dict(metrics)
        self.predictions = predictions
        self.numbers = numbers

    def begin(self, device: torch.device) -> None:
        for metric in self.metrics.values():
            metric.to(device)
            metric.reset()

    def update(self, outputs: Tensor, target: Tensor) -> None:
        """Add a batch: outputs (N, O) of one network, targets (N,) or (N, T)."""
        predicted, target = self.predictions(outputs, target)
        for metric in self.metrics.values():
            metric.update(predicted, target)

    def compute(self) -> dict[str, float]:
        """One number for each. Raises ValueError for a metric that gives more."""
        found = {}
        for name, metric in self.metrics.items():
            value = torch.as_tensor(metric.compute())
            if value.shape == (self.numbers,):
                value = value.mean()
            if value.numel() != 1:
                raise ValueError(
                    f"metrics.{name} must give one number, got the shape {tuple(value.shape)}. Choose an average, such "
                    f"as metrics.{name}.average=macro"
                )
            found[name] = float(value)
            metric.reset()  # what was collected takes memory
        return found

    def rehearse(self, outputs: Tensor, target: Tensor) -> None:
        """Compute each metric of a small batch. Raises what it complains of, with its name first."""
        for name, metric in self.metrics.items():
            one = Measures({name: metric}, self.predictions, self.numbers)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of a batch that lacks a class
                    one.begin(outputs.device)
                    one.update(outputs, target)
                    one.compute()
            except Exception as error:  # of any class
                said = str(error) if str(error).startswith(f"metrics.{name}") else f"metrics.{name}: {error}"
                raise ValueError(said) from error

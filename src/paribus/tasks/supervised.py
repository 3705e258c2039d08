"""The base of the tasks: a loss of outputs and targets, and random changes of training batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paribus.datasets.prepare import Splits
from paribus.techniques.augment import Augmentation, Identity
from paribus.techniques.elementwise import MeanLoss


class Supervised(nn.Module):
    """The parts of `paribus.tasks.task.Task` that all kinds of targets have in common.

    num_outputs: O, how many numbers a network gives for a sample. num_classes: what augmentations are told.
    """

    criterion: MeanLoss

    def __init__(self, criterion: MeanLoss, augmentation: Augmentation, num_outputs: int, num_classes: int):
        super().__init__()
        self.criterion = criterion
        self.augmentation = augmentation
        self.augments = not isinstance(augmentation, Identity)
        self.num_outputs = num_outputs
        self.num_classes = num_classes
        self._chance: dict[str, float] = {}

    def prepare(self, splits: Splits) -> None:
        pass

    def augment(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.augmentation(x, y, num_classes=self.num_classes, generator=generator)

    def goal(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The targets as the loss takes them."""
        return target

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        mean: Tensor = self.criterion(outputs, self.goal(outputs, target))
        return mean

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.criterion.per_sample(outputs, self.goal(outputs, target))

    def weights(self, target: Tensor) -> Tensor | None:
        return self.criterion.weights(target)

    def unavailable(self, metric: str) -> str | None:
        return None

    def chance(self) -> dict[str, float]:
        return dict(self._chance)

"""Classification as a task: accuracy, calibration, and the loss of the config group `loss`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from paribus.datasets.prepare import Splits
from paribus.datasets.source import Form
from paribus.tasks.classification.calibration import calibration_error, calibration_sums
from paribus.tasks.classification.calibration import size as calibration_size
from paribus.techniques.augment import Augmentation, Identity
from paribus.techniques.losses import CrossEntropy, Loss


class Classification(nn.Module):
    """The most probable of K classes, K = loss.num_classes.

    Shapes: outputs (N, O), targets (N,) class indices, or (N, K) soft targets in training.

    Metrics of training: loss, acc. Of an evaluation: loss, acc, ece (nan for a loss without confidences).
    """

    kinds_of_y = ("class",)
    training_size = 1  # correct predictions
    evaluation_size = 3 + calibration_size  # loss, correct predictions, samples; then those of the calibration error

    def __init__(self, form: Form, loss: Loss, augmentation: Augmentation):
        super().__init__()
        if not isinstance(loss, Loss):
            raise ValueError(
                f"classification needs a loss that says which class is predicted, got {type(loss).__name__}. Use "
                "loss=cross_entropy, or a subclass of paribus.techniques.losses.Loss"
            )
        self.criterion = loss
        self.augmentation = augmentation
        self.num_outputs = loss.num_outputs
        self.augments = not isinstance(augmentation, Identity)

    def prepare(self, splits: Splits) -> None:
        pass

    def augment(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.augmentation(x, y, num_classes=self.criterion.num_classes, generator=generator)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        mean: Tensor = self.criterion(outputs, target)
        return mean

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.criterion.per_sample(outputs, target)

    def training_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        classes = target.argmax(-1) if target.ndim == outputs.ndim else target
        predicted = self.criterion.predict(outputs.flatten(0, -2)).view(outputs.shape[:-1])
        return (predicted == classes).sum(-1, keepdim=True)

    def training_metrics(self, loss: float, sums: list[float], samples: int) -> dict[str, float]:
        return {"loss": loss, "acc": sums[0] / samples}

    def evaluation_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        replicas, samples = outputs.shape[:2]
        outputs, target = outputs.flatten(0, 1), target.repeat(replicas)
        state = torch.zeros(replicas, self.evaluation_size, dtype=dtype, device=outputs.device)
        correct = (self.criterion.predict(outputs) == target).to(dtype)
        state[:, 0] = self.criterion.per_sample(outputs, target).view(replicas, samples).sum(1, dtype=dtype)
        state[:, 1] = correct.view(replicas, samples).sum(1)
        state[:, 2] = samples
        confidence = self.criterion.confidence(outputs)
        if confidence is not None:
            state[:, 3:] = calibration_sums(confidence.to(dtype), correct, replicas)
        return state

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        loss, correct, samples = sums[:3].tolist()
        if samples == 0:
            return {"loss": math.nan, "acc": math.nan, "ece": math.nan}
        return {"loss": loss / samples, "acc": correct / samples, "ece": calibration_error(sums[3:])}

    def predictions(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, K), or for a loss that has none the predicted classes (N,); the targets."""
        probabilities = self.criterion.probabilities(outputs)
        return self.criterion.predict(outputs) if probabilities is None else probabilities, target

    def unavailable(self, metric: str) -> str | None:
        if metric == "ece" and self.criterion.confidence(torch.zeros(1, self.num_outputs)) is None:
            return (
                "the loss gives no confidences, so its calibration error is always nan. Use the loss or the accuracy "
                "(val/loss, val/acc)"
            )
        return None

    def chance(self) -> dict[str, float]:
        """1 / K in accuracy, log K in cross-entropy: all classes equally probable."""
        classes = self.criterion.num_classes
        found = {"acc": 1 / classes}
        return found | {"loss": math.log(classes)} if isinstance(self.criterion, CrossEntropy) else found

"""Classification as a task: accuracy, calibration, and the loss of the config group `loss`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from paribus.datasets.source import Form
from paribus.tasks.classification.calibration import calibration_error, calibration_sums
from paribus.tasks.classification.calibration import size as calibration_size
from paribus.tasks.supervised import Supervised
from paribus.techniques.augment import Augmentation
from paribus.techniques.losses import CrossEntropy, Loss


class Classification(Supervised):
    """The most probable of K classes, K = loss.num_classes.

    Shapes: outputs (N, O), targets (N,) class indices, or (N, K) soft targets in training.

    Metrics of training: loss, acc. Of an evaluation: loss, acc, ece (nan for a loss without confidences).
    """

    kinds_of_y = ("class",)
    training_size = 1  # correct predictions
    # Weighted loss, correct predictions, samples, their weights; then those of the calibration error.
    evaluation_size = 4 + calibration_size
    criterion: Loss

    def __init__(self, form: Form, loss: Loss, augmentation: Augmentation):
        if not isinstance(loss, Loss):
            raise ValueError(
                f"classification needs a loss that says which class is predicted, got {type(loss).__name__}. Use "
                "loss=cross_entropy, or a subclass of paribus.techniques.losses.Loss"
            )
        super().__init__(loss, augmentation, loss.num_outputs, loss.num_classes)

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
        weights = self.weights(target)
        state[:, 3] = samples if weights is None else weights.view(replicas, samples).sum(1, dtype=dtype)
        confidence = self.criterion.confidence(outputs)
        if confidence is not None:
            state[:, 4:] = calibration_sums(confidence.to(dtype), correct, replicas)
        return state

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        loss, correct, samples, weights = sums[:4].tolist()
        if samples == 0:
            return {"loss": math.nan, "acc": math.nan, "ece": math.nan}
        mean = loss / weights if weights else math.nan
        return {"loss": mean, "acc": correct / samples, "ece": calibration_error(sums[4:])}

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

"""Multi-label classification as a task: each of K labels is there or not, whatever the others are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from paribus.datasets.prepare import Splits
from paribus.datasets.source import Form
from paribus.tasks.supervised import Supervised
from paribus.techniques.augment import Augmentation
from paribus.techniques.label_losses import BinaryCrossEntropy, LabelLoss


class Multilabel(Supervised):
    r"""A label is predicted where its output is positive, which is a probability above one half.

    Shapes: outputs (N, K), targets (N, K) of 0 and 1, or between in training.

    Metrics: loss; acc, the share of the N K labels that are predicted right; exact, the share of the N samples of which
    all K labels are right (subset accuracy).
    """

    kinds_of_y = ("labels",)
    training_size = 2  # labels that are right, samples that are
    evaluation_size = 4  # loss, labels, samples that are right; all samples

    def __init__(self, form: Form, loss: LabelLoss, augmentation: Augmentation):
        if not isinstance(loss, LabelLoss):
            raise ValueError(
                f"multi-label classification needs a loss of labels, got {type(loss).__name__}. Use "
                "loss=binary_cross_entropy, or a subclass of paribus.techniques.label_losses.LabelLoss"
            )
        super().__init__(loss, augmentation, form.num_outputs, form.num_outputs)

    def prepare(self, splits: Splits) -> None:
        """Guessing knows how often each label is there in training, and nothing of x."""
        often, y = splits.train.y.double().mean(0), splits.test.y.double()
        right = (often > 0.5) == (y > 0.5)
        self._chance = {"acc": float(right.double().mean()), "exact": float(right.all(1).double().mean())}
        if isinstance(self.criterion, BinaryCrossEntropy):
            each = -y * often.log() - (1 - y) * (1 - often).log()
            self._chance["loss"] = float(each.nan_to_num(0.0, posinf=torch.inf).mean())  # 0 log 0 = 0

    def training_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        right = (outputs > 0) == (target > 0.5)
        return torch.stack([right.sum((-2, -1)), right.all(-1).sum(-1)], -1)

    def training_metrics(self, loss: float, sums: list[float], samples: int) -> dict[str, float]:
        return {"loss": loss, "acc": sums[0] / (samples * self.num_outputs), "exact": sums[1] / samples}

    def evaluation_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        replicas, samples = outputs.shape[:2]
        losses = self.per_sample(outputs.flatten(0, 1), target.repeat(replicas, 1)).view(replicas, samples)
        right = self.training_sums(outputs, target, dtype).to(dtype)
        number = torch.full((replicas, 1), samples, dtype=dtype, device=outputs.device)
        return torch.cat([losses.sum(1, keepdim=True, dtype=dtype), right, number], 1)

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        loss, labels, exact, samples = sums.tolist()
        if samples == 0:
            return dict.fromkeys(("loss", "acc", "exact"), math.nan)
        return self.training_metrics(loss / samples, [labels, exact], int(samples))

    def predictions(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The probability of each label, (N, K), by the logistic function; the targets as whole numbers."""
        return outputs.float().sigmoid(), target.long()

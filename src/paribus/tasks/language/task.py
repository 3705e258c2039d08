"""Language as a task: the token at each place of a sequence, from those up to there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from paribus.datasets.prepare import Splits
from paribus.datasets.source import IGNORED, Form
from paribus.tasks.supervised import Supervised
from paribus.techniques.augment import Augmentation
from paribus.techniques.losses import CrossEntropy, Loss

TOP = 5


class Language(Supervised):
    r"""One of K tokens at each place of a sequence; in a text, the next one.

    The loss of a sequence is the mean over the places that count, and that of a set the mean over its sequences. Where
    all sequences have as many such places, as in every data set of Paribus, that is the mean over tokens.

    Shapes: outputs (N, T, O), targets (N, T), IGNORED at places that do not count.

    Metrics of training: loss, acc. Of an evaluation also, with the mean negative log-likelihood $\ell$ in nats: bits
    $\ell / \ln 2$ (per character, where a token is one), ppl $e^\ell$, excess $\ell$ - floor, and top5, the share of
    tokens that are among the five most probable. nan where the loss has no such outputs, or nobody knows the floor.
    """

    kinds_of_y = ("tokens",)
    training_size = 1  # correct predictions
    evaluation_size = 6  # weighted loss, its weights, log-likelihood, correct predictions, those among five, samples
    criterion: Loss

    def __init__(self, form: Form, loss: Loss, augmentation: Augmentation):
        if not isinstance(loss, Loss):
            raise ValueError(
                f"language needs a loss that says which token is predicted, got {type(loss).__name__}. Use "
                "loss=cross_entropy, or a subclass of paribus.techniques.losses.Loss"
            )
        super().__init__(loss, augmentation, loss.num_outputs, loss.num_classes)
        self.floor = form.floor
        one = torch.zeros(1, self.num_outputs)
        self.is_likelihood = loss.log_probabilities(one) is not None
        self.is_ranking = self.is_likelihood or loss.probabilities(one) is not None

    def prepare(self, splits: Splits) -> None:
        """Guessing knows how often each token is a target in training, each counted once more than it was seen."""
        seen = splits.train.y[splits.train.y != IGNORED]
        often = torch.bincount(seen, minlength=self.num_classes).double() + 1.0
        logs = (often / often.sum()).log()
        target, share = _shares(splits.test.y, torch.float64)
        wanted = torch.zeros_like(often).index_add_(0, target.flatten(), share.flatten()) / len(target)
        nll = -float(wanted @ logs)
        self._chance = {"acc": float(wanted[often.argmax()])}
        if self.is_ranking:
            self._chance["top5"] = float(wanted[often.topk(min(TOP, len(often))).indices].sum())
        if self.is_likelihood:
            self._chance |= {name: x for name, x in self._of_likelihood(nll).items() if math.isfinite(x)}
        if isinstance(self.criterion, CrossEntropy):
            smoothing = self.criterion.label_smoothing
            self._chance["loss"] = (1 - smoothing) * nll - smoothing * float(logs.mean())

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        losses, weights = self.per_sample(outputs, target), self.weights(target)
        return losses.mean() if weights is None else losses.sum() / weights.sum()

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        losses = self.criterion.per_sample(outputs.flatten(0, 1), target.flatten().clamp_min(0))
        return (losses.view(target.shape) * _shares(target, losses.dtype)[1]).sum(1)

    def weights(self, target: Tensor) -> Tensor | None:
        known, share = _shares(target)
        weights = self.criterion.weights(known.flatten())
        return None if weights is None else (weights.view(known.shape) * share).sum(1)

    def training_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        predicted = self.criterion.predict(outputs.flatten(0, -2)).view(target.shape)
        known, share = _shares(target, dtype)
        return ((predicted == known) * share).sum((-2, -1))[..., None]

    def training_metrics(self, loss: float, sums: list[float], samples: int) -> dict[str, float]:
        return {"loss": loss, "acc": sums[0] / samples}

    def evaluation_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        replicas, samples = outputs.shape[:2]
        target = target.expand(replicas, *target.shape)
        outputs, each = outputs.flatten(0, 1), target.flatten(0, 1)
        losses, weights = self.per_sample(outputs, each), self.weights(each)
        known, share = _shares(each, dtype)
        state = torch.zeros(replicas, self.evaluation_size, dtype=dtype, device=outputs.device)
        state[:, 0] = losses.view(replicas, samples).sum(1, dtype=dtype)
        state[:, 1] = samples if weights is None else weights.view(replicas, samples).sum(1, dtype=dtype)
        rows, wanted = outputs.flatten(0, 1), known.flatten()[:, None]

        def mean(values: Tensor) -> Tensor:
            """(R * N * T,), over the places that count; summed over samples."""
            return (values.view(share.shape) * share).view(replicas, -1).sum(1)

        if (logs := self.criterion.log_probabilities(rows)) is not None:
            state[:, 2] = mean(-logs.gather(1, wanted))
        state[:, 3] = mean(self.criterion.predict(rows) == wanted[:, 0])
        if self.is_ranking:
            state[:, 4] = mean((rows.topk(min(TOP, self.num_outputs), 1).indices == wanted).any(1))
        state[:, 5] = samples
        return state

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        loss, weights, nll, right, among, samples = sums.tolist()
        if samples == 0:
            return dict.fromkeys(("loss", "bits", "ppl", "acc", "top5", "excess"), math.nan)
        found = {"loss": loss / weights if weights else math.nan}
        found |= self._of_likelihood(nll / samples if self.is_likelihood else math.nan)
        return found | {"acc": right / samples, "top5": among / samples if self.is_ranking else math.nan}

    def _of_likelihood(self, nll: float) -> dict[str, float]:
        """The metrics that follow from the mean negative log-likelihood in nats."""
        ppl = math.exp(nll) if nll < 700 else math.inf
        floor = math.nan if self.floor is None else self.floor
        return {"bits": nll / math.log(2), "ppl": ppl if nll == nll else nll, "excess": nll - floor}

    def predictions(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Of the places that count, M in all: probabilities (M, K), or for a loss that has none the predicted tokens
        (M,); the targets (M,)."""
        counts = target != IGNORED
        rows = outputs[counts]
        probabilities = self.criterion.probabilities(rows)
        return self.criterion.predict(rows) if probabilities is None else probabilities, target[counts]

    def unavailable(self, metric: str) -> str | None:
        if metric in ("bits", "ppl", "excess") and not self.is_likelihood:
            return (
                "the loss gives no likelihoods, so it is always nan. Use the loss or the accuracy (val/loss, val/acc)"
            )
        if metric == "top5" and not self.is_ranking:
            return "the loss ranks no tokens, so it is always nan. Use the loss or the accuracy (val/loss, val/acc)"
        if metric == "excess" and self.floor is None:
            return "nobody knows the floor of these data, so it is always nan. Use val/loss or val/bits"
        return None


def _shares(target: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Targets (..., T) with some token for IGNORED, and the weights (..., T) of a mean over the places that count."""
    counts = target != IGNORED
    return target.clamp_min(0), counts / counts.sum(-1, keepdim=True).to(dtype)

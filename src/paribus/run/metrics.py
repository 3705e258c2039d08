"""Sums that live on the device: nothing is read back before an epoch ends, and processes merge by adding up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from paribus.techniques.losses import Loss

BINS = 15
HELD = 2**18  # outputs that wait to be added up: a MB


class Predicting(Protocol):
    """A loss, or the losses of a stack."""

    def predict(self, outputs: Tensor) -> Tensor:
        """The predicted class of each sample."""
        ...


class Totals:
    """Running sums of a training epoch: loss x samples, correct predictions, samples. R: (), or (number,) of replicas.

    float64 (float32 where the device has none), so that a million updates add up exactly enough.

    Batches wait and are added up together, in their order: a dozen small operations after each update of a small
    network would take a tenth of its time. When they are added up changes no sum on a CPU.
    """

    def __init__(self, device: torch.device | str = "cpu", replicas: Sequence[int] = ()):
        self._sums = torch.zeros(2, *replicas, dtype=wide(torch.device(device)), device=device)
        self.samples = 0
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._held = 0
        self._criterion: Predicting

    def update(self, loss: Tensor, outputs: Tensor, target: Tensor, criterion: Predicting) -> None:
        """Add a batch: its mean loss (*R,), outputs (*R, N, O), targets (*R, N) or soft (*R, N, K)."""
        self._waiting.append((loss.detach(), outputs.detach(), target))
        self._criterion = criterion
        self.samples += outputs.shape[-2]
        self._held += outputs.numel() + target.numel()
        if self._held >= HELD:
            self._add_up()

    def _add_up(self) -> None:
        if not self._waiting:
            return
        losses, outputs, targets = zip(*self._waiting, strict=True)
        dim = self._sums.ndim - 1  # of the samples
        sizes = self._sums.new_tensor([batch.shape[dim] for batch in outputs])
        terms = torch.stack(losses).to(self._sums) * sizes.view(-1, *[1] * dim)
        # A running sum adds one after another: the same bits wherever batches are parted.
        self._sums[0] = torch.cat([self._sums[:1], terms]).cumsum(0)[-1]
        classes = torch.cat([target.argmax(-1) if target.ndim > dim + 1 else target for target in targets], dim)
        self._sums[1] += (self._criterion.predict(torch.cat(outputs, dim)) == classes).sum(dim)
        self._waiting, self._held = [], 0

    def state(self) -> Tensor:
        """(3, *R): sum of losses, correct, samples."""
        self._add_up()
        return torch.cat([self._sums, torch.full_like(self._sums[:1], self.samples)])

    def load(self, state: Tensor) -> None:
        self.reset()
        self._sums.copy_(state[:2])
        self.samples = int(state[2].max())

    def reset(self) -> None:
        self._sums.zero_()
        self.samples = 0
        self._waiting, self._held = [], 0

    @staticmethod
    def compute(state: Tensor) -> dict[str, float]:
        """loss and acc from a state (3,), summed over processes or not; nan where there are no samples."""
        loss, correct, samples = state.tolist()
        if samples == 0:
            return {"loss": float("nan"), "acc": float("nan")}
        return {"loss": loss / samples, "acc": correct / samples}


class EvaluationTotals:
    r"""Sums of an evaluation: loss, correct predictions, and the bins of the calibration error.

    Expected calibration error: $\sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b|$ over 15 bins of equal width
    in the confidence of the predicted class. Source: Guo et al. 2017, arXiv:1706.04599.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        # loss, correct, samples, samples with a confidence; then per bin: samples, correct, confidence
        self._state = torch.zeros(4 + 3 * BINS, dtype=wide(torch.device(device)), device=device)

    def update(self, outputs: Tensor, target: Tensor, criterion: Loss) -> None:
        """Add a batch: outputs (N, O), class indices (N,)."""
        self._state += evaluation_sums(outputs[None], target, criterion, self._state.dtype)[0]

    def state(self) -> Tensor:
        """All sums in one tensor; states of several processes add up."""
        return self._state

    @staticmethod
    def compute(state: Tensor) -> dict[str, float]:
        """loss, acc and ece (nan for a loss without confidences) from a state."""
        loss, correct, samples, with_confidence = state[:4].tolist()
        if samples == 0:
            return {"loss": float("nan"), "acc": float("nan"), "ece": float("nan")}
        _, right, confidence = state[4:].view(3, BINS)
        gap = float((right - confidence).abs().sum())
        return {
            "loss": loss / samples,
            "acc": correct / samples,
            "ece": gap / with_confidence if with_confidence else float("nan"),
        }


def evaluation_sums(outputs: Tensor, target: Tensor, criterion: Loss, dtype: torch.dtype) -> Tensor:
    """The state (R, 4 + 3 BINS) of EvaluationTotals for each of R networks: outputs (R, N, O), class indices (N,)."""
    replicas, samples = outputs.shape[:2]
    outputs, target = outputs.flatten(0, 1), target.repeat(replicas)
    state = torch.zeros(replicas, 4 + 3 * BINS, dtype=dtype, device=outputs.device)
    correct = (criterion.predict(outputs) == target).to(dtype)
    state[:, 0] = criterion.per_sample(outputs, target).view(replicas, samples).sum(1, dtype=dtype)
    state[:, 1] = correct.view(replicas, samples).sum(1)
    state[:, 2] = samples
    confidence = criterion.confidence(outputs)
    if confidence is not None:
        state[:, 3] = samples
        confidence = confidence.to(dtype)
        # Bins are open on the left, (0, 1/15], ...; not a number counts in the last one.
        bin = (confidence * BINS).ceil().sub(1).nan_to_num(BINS - 1).clamp(0, BINS - 1).long()
        bin += BINS * torch.arange(replicas, device=bin.device).repeat_interleave(samples)
        sums = torch.stack([torch.ones_like(correct), correct, confidence])
        binned = torch.zeros(3, replicas * BINS, dtype=dtype, device=bin.device).index_add_(1, bin, sums)
        state[:, 4:] = binned.view(3, replicas, BINS).movedim(0, 1).flatten(1)
    return state


def wide(device: torch.device) -> torch.dtype:
    """The widest floating type that a device adds up in."""
    return torch.float32 if device.type == "mps" else torch.float64

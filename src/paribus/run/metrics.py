"""Sums that live on the device: nothing is read back before an epoch ends, and processes merge by adding up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from paribus.tasks.task import Sums

HELD = 2**18  # outputs that wait to be added up: a MB


class Totals:
    """Running sums of a training epoch: loss x samples, those of the task, samples. R: (), or (number,) of replicas.

    float64 (float32 where the device has none), so that a million updates add up exactly enough.

    Batches wait and are added up together, in their order: a dozen small operations after each update of a small
    network would take a tenth of its time. When they are added up changes no sum on a CPU.
    """

    def __init__(self, task: Sums, device: torch.device | str = "cpu", replicas: Sequence[int] = ()):
        self.task = task
        self._sums = torch.zeros(1 + task.training_size, *replicas, dtype=wide(torch.device(device)), device=device)
        self.samples = 0
        self._dim = len(replicas)  # of the samples in a batch
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._held = 0

    def update(self, loss: Tensor, outputs: Tensor, target: Tensor) -> None:
        """Add a batch: its mean loss (*R,), outputs (*R, N, O), targets (*R, N) or (*R, N, K)."""
        if self._waiting and self._waiting[-1][2].ndim != target.ndim:  # an augmentation that mixes now and then
            self._add_up()
        self._waiting.append((loss.detach(), outputs.detach(), target))
        self.samples += outputs.shape[self._dim]
        self._held += outputs.numel() + target.numel()
        if self._held >= HELD:
            self._add_up()

    def _add_up(self) -> None:
        if not self._waiting:
            return
        terms = [self._sums[None]]
        for size, alike in groupby(self._waiting, key=lambda batch: batch[1].shape[self._dim]):
            losses, outputs, targets = (torch.stack(each, self._dim) for each in zip(*alike, strict=True))
            sums = self.task.training_sums(outputs, targets, self._sums.dtype)
            own = torch.cat([(losses.to(self._sums) * size)[..., None], sums.to(self._sums)], -1)  # (*R, batches, ...)
            terms.append(own.movedim((-2, -1), (0, 1)))
        # A running sum adds one batch after another: the same bits wherever they are parted.
        self._sums = torch.cat(terms).cumsum(0)[-1]
        self._waiting, self._held = [], 0

    def state(self) -> Tensor:
        """(2 + training_size, *R): sum of losses, those of the task, samples."""
        self._add_up()
        return torch.cat([self._sums, torch.full_like(self._sums[:1], self.samples)])

    def load(self, state: Tensor) -> None:
        self.reset()
        self._sums.copy_(state[:-1])
        self.samples = int(state[-1].max())

    def reset(self) -> None:
        self._sums.zero_()
        self.samples = 0
        self._waiting, self._held = [], 0

    def compute(self, state: Tensor) -> dict[str, float]:
        """The metrics of one network from its state, summed over processes or not; nan where there are no samples."""
        loss, *sums, samples = state.tolist()
        if samples == 0:
            return dict.fromkeys(self.task.training_metrics(math.nan, sums, 1), math.nan)
        return self.task.training_metrics(loss / samples, sums, samples)


def wide(device: torch.device) -> torch.dtype:
    """The widest floating type that a device adds up in."""
    return torch.float32 if device.type == "mps" else torch.float64

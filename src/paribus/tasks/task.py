"""The protocol of a task: the loss of a batch, and the sums from which metrics are computed.

A training loop knows updates, schedules and checkpoints. What it trains for, it asks a task. A task keeps no account of
its own: it turns a batch into sums, and sums into metrics. Sums add up over batches, chunks and processes, so every
sample counts exactly once however the work is divided.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from paribus.datasets.prepare import Splits


class Sums(Protocol):
    """The metrics of a task, as sums.

    Shapes: outputs (*R, N, O) for N samples, with R = () for one network and (R,) for a stack of R networks. Targets
    are (*R, N) or (*R, N, K).

    augments: whether training batches are changed at random.
    training_size, evaluation_size: the lengths of the two kinds of sums.
    """

    augments: bool
    training_size: int
    evaluation_size: int

    def training_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        """What metrics of training add up besides the loss, (*R, training_size). R ends with the number of batches of
        equal size that are asked about together."""
        ...

    def training_metrics(self, loss: float, sums: list[float], samples: int) -> dict[str, float]:
        """The metrics of an epoch, from its mean loss and the sums of one network. samples is at least one."""
        ...

    def evaluation_sums(self, outputs: Tensor, target: Tensor, dtype: torch.dtype) -> Tensor:
        """What metrics of an evaluation add up, (R, evaluation_size): outputs (R, N, O), targets (N, ...) for all."""
        ...

    def evaluation_metrics(self, sums: Tensor) -> dict[str, float]:
        """The metrics of an evaluation, `loss` among them, from the sums (evaluation_size,) of one network; nan
        without samples."""
        ...


class Task(Sums, Protocol):
    """What a training loop asks. Shapes are those of one network: outputs (N, O), targets (N,) or (N, K).

    num_outputs: O, how many numbers a network gives for a sample.
    """

    num_outputs: int

    def prepare(self, splits: Splits) -> None:
        """Called once with the data, before training and before an evaluation."""
        ...

    def augment(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A training batch with random changes; a function of the batch and of the generator alone."""
        ...

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The mean loss of a batch, ()."""
        ...

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (N,)."""
        ...

    def weights(self, target: Tensor) -> Tensor | None:
        """How much each sample counts in a mean of losses, which is sum(per_sample) / sum(weights), (N,); None where
        all count alike."""
        ...

    def predictions(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What metrics beside these are computed of, predictions and targets. Classes: probabilities (N, K), or
        predicted classes (N,) where outputs give none, and classes (N,). Labels: probabilities (N, K), and whole
        numbers (N, K). Numbers, in the units of the data: both of the shape of the targets."""
        ...

    def unavailable(self, metric: str) -> str | None:
        """Why this task has no metric of this name in an evaluation; None where it has."""
        ...

    def chance(self) -> dict[str, float]:
        """What guessing without looking at x scores, by metric, where that is known. Asked after `prepare`."""
        ...

"""The protocol of an engine: the networks that a loop trains, one or a stack of them, and the parts of an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paribus.run.data import RunData
from paribus.run.trainee import Trainee
from paribus.tasks.task import Sums

Weights = Callable[[Any], AbstractContextManager[None]]  # loop -> a context with other weights to evaluate


class Engine(Protocol):
    """What the loop asks of its networks. R trainees: R = 1 for a run by itself.

    Shapes: a batch is x (*R, N, ...), y (*R, N, ...), with R = () for a run by itself and (R,) for a stack.

    module: holds the parameters that Lightning moves to the device and converts to the precision.
    task: of all trainees together.
    replicas: the first dimensions of batches, outputs and sums, () or (R,).
    """

    @property
    def module(self) -> nn.Module: ...
    @property
    def task(self) -> Sums: ...
    @property
    def trainees(self) -> Sequence[Trainee]: ...
    @property
    def replicas(self) -> tuple[int, ...]: ...

    def configure_optimizers(self) -> Optimizer | None:
        """Called by Lightning once the parameters are on their device."""
        ...

    def begin(
        self, loop: pl.LightningModule, data: RunData, providers: Sequence[Weights], watched: bool = False
    ) -> None:
        """Called when training begins or goes on.

        providers: callbacks' contexts with weights to evaluate. watched: somebody looks at the gradients of every
            update.
        """
        ...

    def mark_segments(self, step: int) -> None:
        """Say in the segments of the trainees how they are trained from update `step` on."""
        ...

    # ------------------------------------------------------------------------------------------ one update

    def seed(self, epoch: int) -> None:
        """Dropout and the like: the stream of an epoch depends on the seed and on nothing that came before."""
        ...

    def set_position(self, step: float, horizon: float) -> None:
        """Set the rates of optimizers for an update, and tell modules that follow the progress of training."""
        ...

    def augment(self, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """A batch with random changes: a function of the seed and the number of the update."""
        ...

    def backward(self, x: Tensor, y: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Add `weight` times the gradient of the mean loss; the mean losses (*R,) and outputs (*R, N, O)."""
        ...

    def clip(self) -> None:
        """Clip the gradients as each trainee asks."""
        ...

    def gradient_norms(self) -> Tensor:
        """The 2-norm of all gradients together, (R,)."""
        ...

    def show_gradients(self) -> None:
        """Let each trainee's own parameters have its gradients: somebody looks."""
        ...

    def step(self) -> Mapping[int, str]:
        """Take the optimizers' steps and forget the gradients. Trainees whose step failed, with the reason: "" where
        numbers are not finite any more."""
        ...

    # ------------------------------------------------------------------------------------------ evaluation

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """The weights to evaluate with: optimizers' or callbacks' averages, and statistics that belong to them."""
        ...

    def final_weights(self, best: bool) -> AbstractContextManager[None]:
        """The weights of the test: the best ones of each trainee that has any, or those of `evaluation_weights`."""
        ...

    def evaluate(self, split: str) -> list[dict[str, float]]:
        """The metrics of each trainee with the present weights, all together where they are several."""
        ...

    def test(self, k: int) -> dict[str, float]:
        """The test metrics of one trainee with the present weights, to the bit what evaluating it again gives."""
        ...

    def state_of(self, k: int) -> dict[str, Tensor]:
        """A copy of the present weights and buffers of one trainee."""
        ...

    # ------------------------------------------------------------------------------------------ checkpoints

    def random_states(self, k: int) -> list[dict[str, Tensor]]:
        """The random streams that a run by itself would go on with, for each of its processes."""
        ...

    def save(self, checkpoint: dict[str, Any], states: Sequence[dict[str, Any]]) -> None:
        """Add what belongs to each trainee. states: those of the loop, one for each."""
        ...

    def load(self, checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
        """The states of the loop in a checkpoint, one for each trainee; the rest is restored by `begin`."""
        ...

    def restore_streams(self, states: Sequence[list[dict[str, Tensor]]]) -> None:
        """Go on with random streams, just before the first batch."""
        ...


def seed_streams(seed: int, device: torch.device) -> None:
    """Set torch's global streams. torch.manual_seed() also visits every backend that the machine might have, which
    takes 0.5 ms."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)

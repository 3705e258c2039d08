"""Snapshots of the weights during training, for pictures of the trajectory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch

from paribus.base.errors import UserError
from paribus.base.weights import flatten
from paribus.run.sharding import is_sharded

if TYPE_CHECKING:
    from paribus.run.loop import Loop


class Snapshots(pl.Callback):
    """Saves the weights that the run would be evaluated with, flattened, to RUN/snapshots/STEP.pt.

    number: how many, evenly spaced over the budget; the weights before training and the last ones are among them.

    Each file holds step and weights (n,), float32, in the order of network.named_parameters().
    """

    def __init__(self, number: int = 50):
        if number < 3:
            raise ValueError(f"callbacks.snapshots.number must be at least 3, got {number}: a trajectory has a plane")
        self.number = number
        self._next = 0  # number of the next snapshot

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop: Any = pl_module
        if is_sharded(loop.network):
            raise UserError("callbacks.snapshots needs the whole network in one process. Use trainer=ddp")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop: Any = pl_module
        done = loop.data.fraction_done()
        self._next = 0 if done == 0 else int(done * (self.number - 1)) + 1
        if done == 0:
            self._save(loop)

    def on_update(self, loop: Loop) -> None:
        # With room for rounding: the last update completes the budget exactly.
        if loop.data.fraction_done() * (self.number - 1) >= self._next - 1e-9:
            self._save(loop)

    def _save(self, loop: Any) -> None:
        self._next = int(loop.data.fraction_done() * (self.number - 1) + 1e-9) + 1
        with loop.evaluation_weights():  # all processes average their statistics
            weights = flatten(loop.network).float().cpu()
        if not loop.trainer.is_global_zero or loop.journal.history is None:
            return
        folder: Path = loop.journal.history.path.parent / "snapshots"
        folder.mkdir(exist_ok=True)
        step = loop.data.cursor.step
        path = folder / f"{step:08d}.pt"
        temporary = path.with_suffix(".tmp")
        torch.save({"step": step, "weights": weights}, temporary)
        os.replace(temporary, path)

"""Resumable checkpoints: at intervals of time, at the end, and of the best weights."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from paribus.base.atomic import write_file_atomically
from paribus.base.errors import Interrupted, Pruned
from paribus.run.journal import Journal


class Checkpoints(pl.callbacks.Checkpoint):
    """Writes checkpoints/last.ckpt (everything that training needs to go on) and best.ckpt (the best weights).

    every_seconds: longest time between two writes; the end of training always writes. Written by time and not by
    epoch, because an epoch of a small data set lasts milliseconds and one of a large set hours.

    A file appears whole or not at all, and loads with torch.load(weights_only=True).
    """

    def __init__(self, every_seconds: float = 60.0):
        if every_seconds <= 0:
            raise ValueError(f"callbacks.checkpoints.every_seconds must be positive, got {every_seconds}")
        self.every_seconds = every_seconds
        self.folder: Path | None = None  # set by the training entry: the run's own folder
        self._last = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loop: Any = pl_module
        # The end of an epoch, or of a run that diverged, is left to the next hook, which comes after its validation.
        if not loop.data.at_epoch_end() and not loop.data.exhausted:
            self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save_if_due(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.save(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        loop: Any = trainer.lightning_module
        if not loop.agrees_now:
            return
        # Several processes stop and save together, whoever of them was asked to or has the clock that says so.
        late = time.monotonic() - self._last > self.every_seconds
        stop, late = loop.agreement.largest(loop.stop_requested, late)
        if stop or late:
            self.save(trainer)
        if stop and not loop.data.exhausted:
            if loop.pruned:
                raise Pruned(loop.pruned["message"])
            raise Interrupted(
                f"stopped after {loop.data.cursor.step} updates and saved; the same command resumes from there"
            )

    def save(self, trainer: pl.Trainer) -> None:
        assert self.folder is not None, "the training entry sets the folder"
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
        loop: Any = trainer.lightning_module
        if trainer.is_global_zero:
            loop.journal.flush()  # what the checkpoint resumes from must have its past on disk
        write_file_atomically(self.folder / "last.ckpt", trainer.save_checkpoint, trainer.is_global_zero)
        [run] = loop.trainees
        if run.best_weights is not None and trainer.is_global_zero:
            save_best(self.folder, run.best_weights, run.journal)
        self._last = time.monotonic()


def save_best(folder: Path, weights: dict[str, torch.Tensor], journal: Journal) -> None:
    best = {"state_dict": weights, "monitor": journal.monitor, "score": journal.best_score}
    write_file_atomically(folder / "best.ckpt", functools.partial(torch.save, best))

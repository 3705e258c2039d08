"""Checkpoints between two epochs of a module: what they hold, and how a training goes on from one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paribus.base.atomic import write_file_atomically
from paribus.base.lightning_internals import at_epoch_start
from paribus.extras.lightning.ledger import Ledger
from paribus.extras.lightning.library import Library
from paribus.extras.lightning.state import (
    callback_state,
    module_state,
    object_state,
    restore_callbacks,
    restore_module,
)
from paribus.extras.lightning.streams import Streams
from paribus.run.segments import Segments

_NOT_THE_USERS = ("pytorch_lightning.", "lightning.pytorch.", "paribus.")


class Saving:
    """The part of the `Keeper` that writes checkpoints and reads them.

    epochs: that are over. seconds: in training, without validation. internal: names of Lightning's own attributes.
    """

    library: Library
    journal: Ledger
    streams: Streams
    segments: Segments
    folder: Path
    hooks: list[Any]
    internal: frozenset[str]
    best_weights: dict[str, Tensor] | None
    epochs: int
    batches: int
    samples: int
    seconds: float
    diverged: bool
    finished: bool
    _restored: dict[str, Any] | None
    _weights: dict[str, Any]
    _sources: dict[str, Any]
    _source: Any
    _saved: float

    def save(self, trainer: Any) -> None:
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.journal.flush()
        write_file_atomically(self.folder / "last.ckpt", trainer.save_checkpoint, trainer.is_global_zero)
        if self.best_weights is not None and trainer.is_global_zero:
            best = {"state_dict": self.best_weights, "monitor": self.journal.monitor, "score": self.journal.best_score}
            write_file_atomically(self.folder / "best.ckpt", lambda path: torch.save(best, path))
        self._saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        at_epoch_start(checkpoint["loops"], self.epochs)
        gradients = {}
        if not pl_module.automatic_optimization:  # it may add up gradients over the end of an epoch
            gradients = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
        checkpoint["paribus"] = {
            "cursor": {
                "epoch": self.epochs,
                "update": 0,
                "step": trainer.global_step,
                "samples": self.samples,
                "seconds": self.seconds,
            },
            "batches": self.batches,
            "metrics": dict(self.journal.metrics),
            "logged": {key: value.detach().cpu() for key, value in trainer.callback_metrics.items()
                       if isinstance(value, Tensor)},
            "best_weights": self.best_weights,
            "module": module_state(pl_module, self.internal),
            "callbacks": callback_state(self.own_callbacks(trainer)),
            "data": object_state({**self._sources, "data": self._source}, self._skipped(), self.streams.is_ours),
            "gradients": gradients,
            "hooks": [hook.state_dict() for hook in self.hooks],
            "diverged": self.diverged,
            "finished": self.finished,
            "segments": self.segments.until(trainer.global_step),
        }  # fmt: skip

    def own_callbacks(self, trainer: Any) -> list[Any]:
        """Those of the user: Lightning's own keep their state themselves."""
        return [each for each in trainer.callbacks if not type(each).__module__.startswith(_NOT_THE_USERS)]

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint
        self.segments.load(checkpoint["paribus"]["segments"], checkpoint["paribus"]["cursor"]["step"])

    def _restore(self, trainer: Any, pl_module: Any, checkpoint: Mapping[str, Any]) -> None:
        """After the hooks that begin a training, which may have changed what the checkpoint holds."""
        state = checkpoint["paribus"]
        strategy = trainer.strategy
        strategy.load_model_state_dict({"state_dict": self._weights}, strict=pl_module.strict_loading)
        strategy.load_optimizer_state_dict(checkpoint)
        # As Lightning does: a callback may have taken schedulers away, which it brings back later.
        for config, each in zip(trainer.lr_scheduler_configs, checkpoint["lr_schedulers"], strict=False):
            config.scheduler.load_state_dict(each)
        restore_module(pl_module, self.internal, state["module"])
        restore_callbacks(self.own_callbacks(trainer), state["callbacks"])
        parameters = dict(pl_module.named_parameters())
        for name, gradient in state["gradients"].items():
            parameters[name].grad = gradient.to(parameters[name].device)
        trainer.callback_metrics.update({key: value.to(pl_module.device) for key, value in state["logged"].items()})
        self.load(state)

    def load(self, state: Mapping[str, Any]) -> None:
        """What a checkpoint says of the training so far."""
        cursor = state["cursor"]
        self.epochs, self.samples, self.seconds = cursor["epoch"], cursor["samples"], cursor["seconds"]
        self.batches, self.best_weights, self.diverged = state["batches"], state["best_weights"], state["diverged"]
        self.journal.load(state["metrics"], cursor["step"])
        for hook, each in zip(self.hooks, state["hooks"], strict=True):
            hook.load_state_dict(each)

    def _skipped(self) -> tuple[type, ...]:
        """What holds no state of the data."""
        pl = self.library.pl
        return (pl.Trainer, pl.Callback, self.library.get("loggers.logger.Logger"), torch.Generator)

"""Checkpoints of a stack: one a replica, in the form of a single run's, so that runs can leave and come back."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor, nn

from paribus.base import archive
from paribus.base.atomic import write_file_atomically
from paribus.extras.stack.network import flat, unflat
from paribus.run.callbacks.checkpoints import Checkpoints, save_best
from paribus.run.restart import NEXT
from paribus.run.trainee import Trainee


def member(
    run: Trainee,
    trained: Mapping[str, Tensor],
    evaluated: dict[str, Tensor] | None,
    optimizer: Mapping[str, Any],
    callbacks: Mapping[str, Any],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """What belongs to one run, in Lightning's keys and our own.

    trained, evaluated: its weights; evaluated is None where they are the trained ones. own: the state of our own loop.
    """
    task = run.task.state_dict() if isinstance(run.task, nn.Module) else {}  # what a loss of somebody keeps
    found: dict[str, Any] = {
        "folder": str(run.folder),
        "state_dict": {f"network.{name}": value for name, value in trained.items()}
        | {f"task.{name}": value for name, value in task.items()},
        "optimizer_states": [_own(optimizer)],
        "callbacks": dict(callbacks),
        "paribus": dict(own),
    }
    if evaluated is not None and any(not torch.equal(v, trained[name]) for name, v in evaluated.items()):
        found["evaluation_weights"] = evaluated
    return found


def share(value: Any, k: int, size: int) -> Any:
    """The part of replica k, of `size`, in the state of a callback that works on stacked tensors."""
    if isinstance(value, dict):
        return {unflat(key) if isinstance(key, str) else key: share(item, k, size) for key, item in value.items()}
    return value[k].clone() if isinstance(value, Tensor) and value.ndim and len(value) == size else value


class StackIO(CheckpointIO):
    """Splits a stack's checkpoint into last.ckpt of each member, and puts it together again from them.

    All files are written beside the old ones, as next.ckpt, before the first of them takes its place. So whenever it is
    killed, there is a point that all members have: see `paribus.run.restart`.

    folders: of the checkpoints that each row of the stack goes on from, in order. A row whose run is not there goes on
        from another's: its numbers reach nobody.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = list(folders)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        common = {key: value for key, value in checkpoint.items() if key != "members"}
        for member in checkpoint["members"]:
            folder = Path(member["folder"])
            folder.mkdir(parents=True, exist_ok=True)
            content = {**common, **{key: value for key, value in member.items() if key != "folder"}}
            write_file_atomically(folder / NEXT, functools.partial(torch.save, content))
        for member in checkpoint["members"]:
            folder = Path(member["folder"])
            (folder / NEXT).replace(folder / "last.ckpt")

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        files = {file: archive.read(file) for file in {folder / "last.ckpt" for folder in self.folders}}
        found = [files[folder / "last.ckpt"] for folder in self.folders]
        callbacks = {key: _join([member["callbacks"][key] for member in found]) for key in found[0]["callbacks"]}
        return {**found[0], "state_dict": {}, "optimizer_states": [], "callbacks": callbacks, "members": found}

    def remove_checkpoint(self, path: Any) -> None:
        raise NotImplementedError("a run's last checkpoint is replaced, never removed")


class Regroup(Exception):
    """Enough replicas have ended that the others had better go on as a smaller stack, from what has just been saved."""


class StackCheckpoints(Checkpoints):
    """Checkpoints of a stack: those of each of its runs, in the runs' own folders.

    regroup: share of the stack that must have ended before the rest goes on as a smaller one.
    """

    def __init__(self, every_seconds: float = 60.0, regroup: float = 1 / 8):
        super().__init__(every_seconds)
        self.regroup = regroup

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop: Any = pl_module
        if not loop.ended:
            self._save_if_due(trainer)
            return
        living, size = loop.living(), len(loop.trainees)
        smaller = living and not loop.data.exhausted and size - len(living) >= self.regroup * size
        if smaller:  # whoever goes on from the checkpoint goes on as what goes on now
            loop.engine.next_rows = [loop.engine.rows[k] for k in living]
        self.save(trainer)
        if smaller:
            raise Regroup

    def save(self, trainer: pl.Trainer) -> None:
        loop: Any = trainer.lightning_module
        for run in loop.trainees:
            run.journal.flush()
        assert self.folder is not None, "the training entry sets the folder"
        trainer.save_checkpoint(self.folder)  # StackIO writes one file for each run
        for run in loop.trainees:
            if run.best_weights is not None and run.folder is not None and run.best_is_new:
                save_best(run.folder, run.best_weights, run.journal)
                run.best_is_new = False
        loop.release_ended()
        self._last = time.monotonic()


def _join(values: Sequence[Any]) -> Any:
    """The inverse of share."""
    if isinstance(values[0], dict):
        return {flat(key) if isinstance(key, str) else key: _join([v[key] for v in values]) for key in values[0]}
    return torch.stack(list(values)) if isinstance(values[0], Tensor) else values[0]


def _own(value: Any) -> Any:
    """Tensors apart from any storage that they share: torch.save would write the whole of it."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_own(item) for item in value]
    if isinstance(value, Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    return value

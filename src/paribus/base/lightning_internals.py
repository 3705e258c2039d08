"""Every private name of Lightning that Paribus uses, each with what is done where a version of it has it no more."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def update_counter(trainer: Any) -> Any:
    """What trainer.global_step is counted by under manual optimisation: an object with `ready` and `completed`.

    None where Lightning keeps it elsewhere: then its own wrapper of the optimizer has to take the steps.
    """
    found = trainer.fit_loop
    for name in ("epoch_loop", "manual_optimization", "optim_step_progress", "total"):
        found = getattr(found, name, None)
    return found if hasattr(found, "ready") and hasattr(found, "completed") else None


@contextmanager
def own_arguments() -> Iterator[None]:
    """Without the variables PL_TRAINER_NAME of the environment, from which Lightning's Trainer takes arguments that it
    is not given: they would change a result under the same id."""
    gone = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PL_TRAINER_")}
    try:
        yield
    finally:
        os.environ.update(gone)


def leave_signals(trainer: Any) -> None:
    """Keep Lightning's handler of SIGTERM out of a training: Paribus has one.

    Lightning's sends a message to the other processes from within the handler, whatever message they are waiting for,
    so several processes that are told to stop hang. Where Lightning does it otherwise, nothing happens.
    """
    connector: Any = getattr(trainer, "_signal_connector", None)
    if hasattr(connector, "register_signal_handlers"):
        connector.register_signal_handlers = lambda: None


def remember_external_callbacks() -> None:
    """Read once in this process, and in those forked from it, which callbacks the installed packages offer.

    Each Trainer reads the metadata of all packages for that, for 15 ms. Where Lightning does it otherwise, nothing
    happens.
    """
    connector = importlib.import_module("pytorch_lightning.trainer.connectors.callback_connector")
    if (load := getattr(connector, "_load_external_callbacks", None)) is not None:
        remembered = functools.cache(load)
        vars(connector)["_load_external_callbacks"] = remembered
        remembered("pytorch_lightning.callbacks_factory")


def at_epoch_start(loops: dict[str, Any], epochs: int) -> None:
    """Make the state of Lightning's loops in a checkpoint that of a run between two epochs.

    Lightning's own is of the hook within which the checkpoint is written, and what it repeats or leaves out after a
    restart depends on the hook.
    """
    progress = loops["fit_loop"]["epoch_progress"]
    for counts in progress.values():
        counts.update(dict.fromkeys(counts, epochs))


def forget_restart(trainer: Any) -> None:
    """Let a training that goes on between two epochs begin the next one as any other.

    With max_steps Lightning takes every checkpoint for one within an epoch, whose batches are counted from where it
    stood, and would end the epoch at once.
    """
    trainer.fit_loop.epoch_loop.restarting = False
    vars(trainer.fit_loop)["_restarting"] = False


def saves_within_epochs(callback: Any) -> bool:
    """Whether Lightning's ModelCheckpoint acts on batches: it has hooks for them even where it saves by epochs.

    True of every other callback, and where Lightning keeps what it was asked for elsewhere.
    """
    own = type(callback).__name__ == "ModelCheckpoint" and "on_train_batch_end" in vars(type(callback))
    steps = getattr(callback, "_every_n_train_steps", None)
    return not own or steps != 0 or getattr(callback, "_train_time_interval", None) is not None

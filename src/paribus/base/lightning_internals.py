"""Every private name of Lightning that Paribus uses, each with what is done where a version of it has it no more."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor


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


@contextmanager
def quick_logging(module: Any, base: type) -> Iterator[None]:
    """A LightningModule whose `self.log` costs a tenth, for the length of a training.

    base: the class LightningModule of the module's package. A module with a method `log` of its own keeps that.
    """
    if getattr(type(module), "log", None) is not getattr(base, "log", None) or "log" in vars(module):
        yield
        return
    module.log = QuickLog(module)
    try:
        yield
    finally:
        del module.log


class QuickLog:
    """`LightningModule.log`: the first value of each kind is logged by Lightning, and the next ones by what Lightning
    then does with them, without checking the arguments again and without searching the metric for tensors elsewhere.

    A kind is the hook, the name and all other arguments. Whatever is not a number in the place of an earlier number of
    its kind is left to Lightning: metrics, graphs, several loaders, other devices, other versions.
    """

    def __init__(self, module: Any):
        self.module = module
        self.known: dict[Any, tuple[Any, str, Any]] = {}  # kind -> results of the loop, key in them, metric

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles of the module have Lightning's own."""
        return getattr, (self.module, "log")

    def __call__(self, name: str, value: Any, *more: Any, **options: Any) -> None:
        if more:
            type(self.module).log(self.module, name, value, *more, **options)
            return
        kind: Any = None
        try:
            kind = (self.module._current_fx_name, name, tuple(options.items()))
            if self._quickly(kind, value, options.get("batch_size")):
                return
        except (AttributeError, TypeError):  # another version, or arguments that can't be compared
            pass
        type(self.module).log(self.module, name, value, **options)
        with suppress(AttributeError, TypeError):
            self._learn(kind)

    def _quickly(self, kind: Any, value: Any, batch_size: int | None) -> bool:
        found = self.known.get(kind)
        if found is None:
            return False
        results, key, metric = found
        trainer, sums = self.module._trainer, metric.value
        if trainer._results is not results or results.get(key) is not metric or results.dataloader_idx is not None:
            return False
        if type(value) is float and sums.dtype == torch.get_default_dtype() == torch.float32:
            value = sums.new_tensor(value)
        elif not isinstance(value, Tensor) or (value.numel(), value.device, value.dtype) != (
            1,
            sums.device,
            sums.dtype,
        ):
            return False
        connector, hook = trainer._logger_connector, kind[0]
        if connector.should_reset_tensors(hook):
            results.reset(metrics=False, fx=hook)
        metric.forward(value.detach().squeeze(), results._extract_batch_size(metric, batch_size, metric.meta))
        metric.has_reset = False
        connector._current_fx = hook
        return True

    def _learn(self, kind: Any) -> None:
        """Remember where Lightning has put a number of this kind."""
        hook, name, _ = kind
        results, key = self.module._trainer._results, f"{hook}.{name}"
        metric = results.get(key)
        if metric is not None and metric.is_tensor and not metric.meta.enable_graph and results.dataloader_idx is None:
            self.known[kind] = results, key, metric

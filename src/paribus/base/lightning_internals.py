"""Every private name of Lightning that Paribus uses, each with what is done where a version of it has it no more."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
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


# ------------------------------------------------------------------------------------------ batches

BATCH_HOOKS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
_METHODS = (
    *BATCH_HOOKS, *("optimizer_step", "optimizer_zero_grad", "backward"),
    *("configure_gradient_clipping", "clip_gradients"),
    *("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"),
)  # fmt: skip
# Hashes of those of Lightning's sources that QuickBatches does the same as. This is all of 2.6.
_KNOWN_SOURCES = frozenset(("d9074fcdb446",))


def quick_batches(trainer: Any, module: Any, keeper: Any, library: Callable[[str], Any]) -> bool:
    """At the start of a training: lead its batches past hooks that do nothing, which cost 0.3 ms each time.

    keeper: the callback of Paribus. library(name): a class of Lightning by its dotted name. Returns whether it is so:
    Lightning's own loop trains where anybody has a hook for batches, and where more than one optimizer, process,
    precision or batch for each update is at work.
    """
    quick = _is_plain(trainer, module, keeper, library)
    if quick:
        loop = trainer.fit_loop.epoch_loop
        still = functools.partial(_is_plain, trainer, module, keeper, library)
        batches = QuickBatches(trainer, module, keeper, still)
        loop.advance, loop.on_advance_end = batches.advance, batches.on_advance_end
    return quick


def _is_plain(trainer: Any, module: Any, keeper: Any, library: Callable[[str], Any]) -> bool:
    """Whether a batch of this training consists of a training step, a backward pass and the step of one optimizer."""
    loop, base = trainer.fit_loop.epoch_loop, library("LightningModule")
    source = trainer.datamodule
    parts = (
        (loop, "loops.training_epoch_loop._TrainingEpochLoop"),
        (loop.automatic_optimization, "loops.optimization.automatic._AutomaticOptimization"),
        (trainer.strategy, "strategies.SingleDeviceStrategy"),
        (trainer.precision_plugin, "plugins.precision.Precision"),
        (trainer.profiler, "profilers.PassThroughProfiler"),
    )
    return (
        all(type(part) is library(name) for part, name in parts)
        and source_of_batches(loop) in _KNOWN_SOURCES
        and module.automatic_optimization
        and trainer.accumulate_grad_batches == 1
        and not loop.automatic_optimization._skip_backward
        and not any(_is_own(module, name, base) for name in _METHODS)
        and not (source is not None and any(_is_own(source, name, library("LightningDataModule")) for name in _METHODS))
        and not any(each is not keeper and _acts_on_batches(each, library("Callback")) for each in trainer.callbacks)
    )


def _is_own(thing: Any, name: str, base: type) -> bool:
    """Whether a method is not the one of Lightning's class."""
    return getattr(type(thing), name, None) is not getattr(base, name, None) or name in vars(thing)


def _acts_on_batches(callback: Any, base: type) -> bool:
    """Whether one of Lightning's or the user's callbacks has a hook for the batches of a training."""
    return any(_is_own(callback, name, base) for name in BATCH_HOOKS) and saves_within_epochs(callback)


def source_of_batches(loop: Any) -> str:
    """A hash of Lightning's code for one batch: a version with another one trains by itself."""
    automatic: Any = type(loop.automatic_optimization)
    closure: Any = importlib.import_module(automatic.__module__).Closure
    return _hash_of(type(loop).advance, type(loop).on_advance_end, automatic, closure)


@functools.cache
def _hash_of(*parts: Any) -> str:
    text = "".join(map(inspect.getsource, parts))
    return hashlib.sha256(text.replace("lightning.pytorch", "pytorch_lightning").encode()).hexdigest()[:12]


class QuickBatches:
    """What Lightning does with a batch, where nobody has a hook for it.

    Its methods take the place of those of the loop over an epoch. Bits, counters, schedules and all that is logged are
    the same. Lightning itself goes on after a restart within an epoch, and from the epoch on in which something has
    changed that matters, such as the number of batches for each update.

    still: whether a batch is as plain as it was; asked at the beginning of each epoch.
    """

    def __init__(self, trainer: Any, module: Any, keeper: Any, still: Callable[[], bool]):
        self.trainer, self.module, self.keeper, self.still = trainer, module, keeper, still
        self.is_plain = True
        self.loop = trainer.fit_loop.epoch_loop
        self.counts = self.loop.automatic_optimization.optim_progress.optimizer
        self.result = self.loop.automatic_optimization.output_result_cls
        self.lightnings = self.loop.advance, self.loop.on_advance_end
        self.is_over = True  # Lightning's own end of a batch is to follow
        call = importlib.import_module(f"{type(trainer).__module__.removesuffix('.trainer')}.call")
        self.call = call._call_strategy_hook
        takes = importlib.import_module(type(self.loop).__module__).is_param_in_hook_signature
        self.takes_index = takes(module.training_step, "batch_idx", min_args=2)
        self.on_cpu = trainer.strategy.root_device.type == "cpu"

    def advance(self, fetcher: Any) -> None:
        loop, trainer, progress = self.loop, self.trainer, self.loop.batch_progress
        self.is_over = True
        if progress.current.ready == 0:
            self.is_plain = self.still()
        if (
            not self.is_plain or loop.restarting or hasattr(fetcher, "iterator_wrapper")
        ):  # the training step reads its batches itself
            self.lightnings[0](fetcher)
            return
        connector = trainer._logger_connector
        loop.val_loop.restarting = False
        batch, _, _ = next(fetcher)
        index = loop.batch_idx + 1
        progress.is_last_batch = fetcher.done
        if not (self.on_cpu and _lies_on_cpu(batch)):
            batch = self.call(trainer, "batch_to_device", batch, dataloader_idx=0)
        progress.increment_ready()
        connector.on_batch_start(batch)
        outputs: Any = None
        if batch is None:
            loop._warning_cache.warn("train_dataloader yielded None. If this was on purpose, ignore this warning...")
        else:
            self.keeper.on_train_batch_start(trainer, self.module, batch, index)
            progress.increment_started()
            outputs = self.update(batch, index)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            loop.update_lr_schedulers("step", update_plateau_schedulers=False)
            if loop._num_ready_batches_reached():
                loop.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self.keeper.on_train_batch_end(trainer, self.module, outputs, batch, index)
        self.is_over = progress.is_last_batch or trainer.should_stop or loop.done or loop._should_check_val_fx(fetcher)
        if self.is_over:
            connector.on_batch_end()  # what was logged last is kept
        else:
            trainer._results.batch = trainer._results.batch_size = None
        progress.increment_completed()
        connector.update_train_step_metrics()

    def on_advance_end(self, fetcher: Any) -> None:
        """After a batch: validation, schedules that follow it, loggers, and the end on SIGTERM, where they are due."""
        if (
            self.is_over
            or self.trainer.lr_scheduler_configs
            or self.loop._skip_next_val
            or self.trainer.received_sigterm
        ):
            self.lightnings[1](fetcher)
        else:
            self.loop._batches_that_stepped += 1

    def update(self, batch: Any, index: int) -> Mapping[str, Any]:
        """One update by a batch. Returns what Lightning gives to hooks: the loss and what else the step returns."""
        trainer, module, counts = self.trainer, self.module, self.counts
        optimizer = trainer.optimizers[0]
        result: Any = None

        @torch.enable_grad()
        def closure() -> Tensor | None:
            nonlocal result
            before, module._current_fx_name = module._current_fx_name, "training_step"
            output = module.training_step(batch, index) if self.takes_index else module.training_step(batch)
            module._current_fx_name = before
            # Lightning would divide the loss by one, the number of batches for each update.
            result = self.result(output) if type(output) is Tensor else self.result.from_training_step_output(output, 1)
            loss: Tensor | None = result.closure_loss
            if loss is None:
                self.loop._warning_cache.warn(
                    "`training_step` returned `None`. If this was on purpose, ignore this warning..."
                )
            counts.zero_grad.increment_ready()
            counts.zero_grad.increment_started()
            optimizer.zero_grad()
            counts.zero_grad.increment_completed()
            if loss is not None:
                loss.backward()
            if trainer.gradient_clip_val is not None:
                module.configure_gradient_clipping(
                    optimizer,
                    gradient_clip_val=trainer.gradient_clip_val,
                    gradient_clip_algorithm=trainer.gradient_clip_algorithm,
                )
            kept: Tensor | None = result.loss
            return kept

        counts.step.increment_ready()
        optimizer.step(closure=closure)
        counts.step.increment_completed()
        return {} if result.loss is None else result.asdict()


def _lies_on_cpu(batch: Any) -> bool:
    """Whether moving a batch to a CPU would leave every tensor of it as it is."""
    values = batch if type(batch) in (list, tuple) else batch.values() if type(batch) is dict else (batch,)
    return all(type(each) is Tensor and each.device.type == "cpu" for each in values)

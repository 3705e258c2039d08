"""The callback by which Paribus takes part in a training that Lightning drives.

It starts the random streams of each epoch, ends the budget, keeps the history and the best weights, notices
divergence, and saves at the beginning of an epoch. All that happens between two epochs (schedules, callbacks, metrics)
is over there, so a run that goes on from such a checkpoint ends with the same bits.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paribus.base.durations import duration
from paribus.base.errors import Interrupted, UserError
from paribus.base.lightning_hooks import strangers
from paribus.base.lightning_internals import forget_restart, quick_batches
from paribus.base.signals import stops_now
from paribus.base.terminal import tell_progress
from paribus.base.torch_internals import foreach
from paribus.config.run import Run
from paribus.extras.lightning.factories import Curve
from paribus.extras.lightning.ledger import Ledger
from paribus.extras.lightning.library import Library
from paribus.extras.lightning.loaders import Reads, watched
from paribus.extras.lightning.saving import Saving
from paribus.extras.lightning.state import restore_objects
from paribus.extras.lightning.streams import Streams
from paribus.run.segments import Segments

_norms_of = foreach("norm")
PATIENCE = 45.0  # seconds that a run which is asked to stop takes at most to finish its epoch
AT_THE_END = math.inf  # as every_seconds: one checkpoint, of the finished run
CHECK_SECONDS = 10.0  # between two looks at the loss


class Keeper(Saving):
    """Made a callback of the module's own package by `keeper_of`.

    every_seconds: longest time between two checkpoints, but for that of an epoch; None writes none, AT_THE_END one.
    hooks: callbacks of Paribus that act after each validation (`on_validated`).
    """

    run: Run

    def start(
        self,
        library: Library,
        run: Run,
        ledger: Ledger,
        streams: Streams,
        folder: Path,
        every_seconds: float | None,
        hooks: list[Any],
        progress: float | None,
    ) -> None:
        self.library, self.run, self.journal, self.streams = library, run, ledger, streams
        self.folder, self.every_seconds, self.hooks = folder / "checkpoints", every_seconds, hooks
        self.progress = progress
        self.internal = frozenset({*vars(library.pl.LightningModule()), "_hparams", "_hparams_initial",
                                   "_hparams_name", "_log_hyperparams"})  # fmt: skip
        self.curves: list[Curve] = []  # schedules that a factory has made
        self.steps = 0  # of a run that was finished already
        self.segments = Segments()
        self.best_weights: dict[str, Tensor] | None = None
        self.epochs = 0  # that are over
        self.batches = 0
        self.samples = 0
        self.seconds = 0.0  # in training, without validation
        self.diverged = False
        self.finished = False
        self.stop_requested = False
        self.ending = False  # somebody has ended the training
        self._restored: dict[str, Any] | None = None
        self._resumed_loaders = False
        self._turns: dict[int, int] = {}
        self._sources: dict[str, Any] = {}
        self.losses: Tensor | None = None  # their sum since somebody looked
        self._running_since: float | None = None
        self._epoch_began = time.monotonic()
        self._epoch_seconds: float | None = None
        self._saved = self._looked = self._shown = time.monotonic()
        self._fresh = True

    # ------------------------------------------------------------------------------------------ data

    def watch(self, trainer: Any, source: Any) -> None:
        """Hear when the training loaders of a module or data module are read."""
        make = source.train_dataloader
        self._source = source
        self._trainer = trainer

        def train_dataloader(*args: Any, **kwargs: Any) -> Any:
            loaders = make(*args, **kwargs)
            return watched(loaders, Reads(self.begin, self.first))

        source.train_dataloader = train_dataloader

    def begin(self, loader: Any) -> None:
        """A training loader is about to be iterated: once in an epoch, or more often where others are longer."""
        number = next((k for k, known in self._sources.items() if known is loader), None)
        if number is None:
            number = f"loader {len(self._sources)}"
            self._sources[number] = loader
        if self._restored is not None and not self._resumed_loaders:
            self._resumed_loaders = True
            forget_restart(self._trainer)
        if self._restored is not None:
            restore_objects({number: loader, "data": self._source}, self._skipped(), self._restored["paribus"]["data"])
        turn = self._turns[id(loader)] = self._turns.get(id(loader), -1) + 1
        self.streams.loader(loader, self._trainer.current_epoch, int(number.split()[1]), turn)

    @property
    def loaders(self) -> list[Any]:
        """The training loaders that have been read."""
        return list(self._sources.values())

    def first(self) -> None:
        self.streams.first_batch(self._trainer.current_epoch)

    # ------------------------------------------------------------------------------------------ Lightning's hooks

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self.streams.rank = trainer.global_rank
        others = [each for each in trainer.callbacks if each is not self]
        self._swapped = any("on_validation_epoch_end" in strangers(each) for each in others)
        if self._restored is not None:
            # Not those of the checkpoint: the callbacks of averages keep the averages there, and have put the weights
            # that are trained in their place.
            self._weights = self._present_weights(trainer)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._saved = self._looked = self._shown = time.monotonic()
        self.segments.begin(trainer.global_step, pl_module.device)
        self._begin_curves(trainer, pl_module)
        quick_batches(trainer, pl_module, self, self.library.get)

    def _begin_curves(self, trainer: Any, pl_module: Any) -> None:
        """Schedules of Paribus follow the updates of the whole run."""
        ours = [config for config in trainer.lr_scheduler_configs if isinstance(config.scheduler, Curve)]
        if self.curves and not pl_module.automatic_optimization:
            raise UserError(
                "scheduler= works with automatic optimization only: a module with manual optimization steps its "
                "schedulers itself. Use a scheduler of torch in the module"
            )
        for config in ours:
            config.interval, config.frequency = "step", 1
            config.scheduler.begin(trainer.estimated_stepping_batches)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._restored is not None:
            self._restore(trainer, pl_module, self._restored)
            self._restored = None
        elif self.epochs:
            self._boundary(trainer)
        self._turns = {}
        self._fresh = True
        self._epoch_began = time.monotonic()
        self._resume_clock()
        self.streams.epoch(trainer.current_epoch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._fresh:
            self._fresh = False
            self.streams.steps(trainer.current_epoch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches += 1
        self.samples += size_of(batch) * trainer.world_size
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            loss = loss.detach()
            self.losses = loss if self.losses is None else self.losses + loss
        now = time.monotonic()
        unit, amount = self.run.length
        spent = unit == "samples" and self.samples >= amount
        if spent or (unit == "seconds" and self._agreed(trainer, self._seconds_now(now) >= amount)):
            trainer.should_stop = True
        if now - self._looked > CHECK_SECONDS and trainer.world_size == 1:
            self._looked = now
            self._stop_if_lost(trainer)
        if self.stop_requested and trainer.world_size == 1 and not self._soon_over(now):
            raise Interrupted(
                f"stopped in epoch {trainer.current_epoch + 1}; the same command resumes the run from its last "
                "checkpoint, and trains this epoch from its beginning"
            )
        if self.progress is not None and now - self._shown > (0.25 if sys.stderr.isatty() else self.progress):
            self._shown = now
            self._show(trainer, now)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._pause_clock()

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._swapped:  # by a callback that puts averages in place for a validation, and takes them out after us
            self._validated_weights = self._present_weights(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self.journal.validated(trainer.callback_metrics) and not self.diverged:
            self.best_weights = self._validated_weights if self._swapped else self._present_weights(trainer)
        for hook in self.hooks:
            if hook.monitor in trainer.callback_metrics:
                hook.on_validated(self, dict(self.journal.metrics))
        if self.ending:
            trainer.should_stop = True
        self._resume_clock()

    def _present_weights(self, trainer: Any) -> dict[str, Any]:
        state = trainer.strategy.lightning_module_state_dict()
        return {key: each.detach().cpu().clone() if isinstance(each, Tensor) else each for key, each in state.items()}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._pause_clock()
        self.epochs += 1
        self._epoch_seconds = time.monotonic() - self._epoch_began
        self._stop_if_lost(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._pause_clock()
        self._row(trainer)
        self.finished = True
        if sys.stderr.isatty() and self.progress is not None:
            tell_progress("")

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """After the hooks of the end, in which callbacks of averages put these in place."""
        if self.every_seconds is not None and self.finished:
            self.save(trainer)

    # ------------------------------------------------------------------------------------------ between epochs

    def _boundary(self, trainer: Any) -> None:
        """All of the epoch before is over, and nothing of this one has begun."""
        self._row(trainer)
        late = self.every_seconds is not None and time.monotonic() - self._saved > self.every_seconds
        stop, late = self._agreed(trainer, self.stop_requested), self._agreed(trainer, late)
        resumes = self.every_seconds not in (None, AT_THE_END)
        if resumes and (stop or late):
            self.save(trainer)
        if stop:
            saved = "and saved; the same command resumes from there" if resumes else "without checkpoints"
            raise Interrupted(f"stopped after {self.epochs} epochs {saved}")

    def _row(self, trainer: Any) -> None:
        self.journal.end_epoch(trainer.callback_metrics, self.epochs, trainer.global_step, self.seconds)

    def record(self, values: Mapping[str, Any]) -> None:
        """What Lightning gives to loggers."""
        self.journal.add(values, self.epochs, self._trainer.global_step, self._seconds_now(time.monotonic()))

    def end_training(self) -> None:
        """Called within on_validated: the run is complete, as if its budget ended here."""
        self.ending = True

    def request_stop(self) -> None:
        """Stop at the end of this epoch, or at once where that is far."""
        self.stop_requested = True

    # ------------------------------------------------------------------------------------------ clock and divergence

    def _pause_clock(self) -> None:
        if self._running_since is not None:
            self.seconds += time.monotonic() - self._running_since
            self._running_since = None

    def _resume_clock(self) -> None:
        if self._running_since is None:
            self._running_since = time.monotonic()

    def _seconds_now(self, now: float) -> float:
        return self.seconds + (0.0 if self._running_since is None else now - self._running_since)

    def _soon_over(self, now: float) -> bool:
        """Whether the epoch is about to end, so that the run can be saved there."""
        if self.every_seconds in (None, AT_THE_END):
            return False
        if stops_now():
            return True
        if self._epoch_seconds is None:
            return False
        return self._epoch_seconds - (now - self._epoch_began) < PATIENCE

    def _stop_if_lost(self, trainer: Any) -> None:
        lost = self.losses is not None and not bool(self.losses.isfinite().all())
        if not lost:
            numbers = [p.detach() for p in trainer.lightning_module.parameters() if p.is_floating_point() and p.numel()]
            norms = _norms_of(numbers) if numbers else []
            lost = bool(norms) and not math.isfinite(float(torch.stack([n.float() for n in norms]).sum()))
        self.losses = None
        if self._agreed(trainer, lost):
            self.diverged = True
            trainer.should_stop = True

    def _agreed(self, trainer: Any, flag: bool) -> bool:
        """Whether any process says so: they end, save and give up together."""
        if trainer.world_size == 1:
            return flag
        return bool(trainer.strategy.reduce_boolean_decision(flag, all=False))

    def _show(self, trainer: Any, now: float) -> None:
        if not trainer.is_global_zero:
            return
        unit, amount = self.run.length
        done = {"epochs": self.epochs, "updates": trainer.global_step, "samples": self.samples, "seconds": self.seconds}
        parts = [f"{unit} {done[unit]:.4g}/{amount:g}", f"{trainer.global_step} updates"]
        parts += [f"{key} {value:.4g}" for key, value in self.journal.metrics.items() if key == self.journal.monitor]
        parts.append(duration(self._seconds_now(now)))
        tell_progress(" · ".join(parts))


def keeper_of(library: Library) -> Any:
    """A Keeper that is a callback of a package."""
    return type("Keeper", (Keeper, library.pl.Callback), {})()


def size_of(batch: Any) -> int:
    """The samples of a batch: the first dimension of its first tensor; 0 where it holds none."""
    if isinstance(batch, Tensor):
        return batch.shape[0] if batch.ndim else 1
    values = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    for each in values:
        if size := size_of(each):
            return size
    return 0

"""The driver of task=lightning: a run in, its outcome out. Lightning trains, validates and tests."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from paribus.base import archive
from paribus.base.errors import UserError
from paribus.base.lightning_hooks import lightnings
from paribus.base.lightning_internals import quick_logging
from paribus.base.processes import is_first
from paribus.base.signals import graceful_stop
from paribus.base.terminal import say
from paribus.config.nodes import target_of
from paribus.config.run import Run
from paribus.extras.lightning.callbacks import CHECKPOINTS, NOT_RESUMED, PROGRESS, user_callbacks
from paribus.extras.lightning.checkpoint import writer
from paribus.extras.lightning.factories import ScheduleFactory
from paribus.extras.lightning.flags import make_trainer
from paribus.extras.lightning.keeper import AT_THE_END, Keeper, keeper_of
from paribus.extras.lightning.ledger import Ledger, history_logger
from paribus.extras.lightning.logged import NotLogged, check_logged
from paribus.extras.lightning.parts import Parts, make_parts
from paribus.extras.lightning.state import restore_module
from paribus.extras.lightning.streams import Streams
from paribus.run.fit import Outcome, build_loggers, conclude, set_threads
from paribus.run.instantiate import instantiate
from paribus.run.restart import usable_checkpoint
from paribus.store.history import HistoryWriter
from paribus.store.record import Record

log = logging.getLogger("paribus")


@dataclass
class Lightning:
    """A run of task=lightning, ready to train: its module, data module and Trainer."""

    run: Run
    parts: Parts
    streams: Streams

    @staticmethod
    def of(run: Run) -> Lightning:
        """Raises UserError for arguments that the classes of a configuration do not take."""
        set_threads(run)
        streams = Streams(run)
        with quiet():
            return Lightning(run, make_parts(run, streams), streams)

    def fit(self, record: Record, folder: Path) -> Outcome:
        """Train from the last checkpoint of this run, or from the start, and test."""
        run, library = self.run, self.parts.library
        main = is_first()
        history = HistoryWriter(folder / "history.csv") if main else None
        ledger = Ledger(history, run.declared, run.evaluation.monitor)
        keeper, callbacks = self.callbacks(ledger, folder)
        loggers = build_loggers(run, record, folder)
        outcome: Outcome | None = None
        try:
            own = [history_logger(library.get("loggers.logger.Logger"), keeper.record, str(folder))] if main else []
            trainer = self.trainer(callbacks, [*loggers, *own], folder)
            checkpoint = usable_checkpoint(folder)
            self.streams.rank = trainer.global_rank
            keeper.watch(trainer, self.parts.source)
            started = time.perf_counter()
            whole = library.pl.LightningModule
            with quiet(), graceful_stop(keeper.request_stop), quick_logging(self.parts.module, whole):
                if checkpoint is None or not self._finished(trainer, checkpoint, keeper):
                    self._fit(trainer, checkpoint)
                seconds = time.perf_counter() - started
                if not keeper.diverged:
                    ledger.metrics.update(self._test(trainer, keeper, folder))
            self._say_what_is_missing(ledger.metrics, keeper.diverged)
            outcome = self._outcome(trainer, keeper, seconds)
            return outcome
        finally:
            conclude(outcome, ledger.flush, loggers, ledger.metrics)

    def _fit(self, trainer: Any, checkpoint: Path | None) -> None:
        misconfiguration = self.parts.library.get("utilities.exceptions.MisconfigurationException")
        if checkpoint is not None:  # Lightning would do so after it has loaded the weights, rounded to four bytes
            trainer.precision_plugin.convert_module(self.parts.module)
        try:
            trainer.fit(
                self.parts.module,
                datamodule=self.parts.datamodule,
                ckpt_path=None if checkpoint is None else str(checkpoint),
                weights_only=True if checkpoint is not None else None,
            )
        except misconfiguration as error:
            raise UserError(f"Lightning can't train this: {error}") from error

    def trainer(self, callbacks: list[Any], loggers: list[Any], folder: Path, **changes: Any) -> Any:
        library = self.parts.library
        writes = writer(library.get("plugins.io.TorchCheckpointIO"), str(folder))
        with quiet():
            trainer = make_trainer(library, self.run, callbacks, loggers, folder, checkpoint_io=writes, **changes)
        if trainer.world_size != self.run.processes and not changes:
            raise UserError(
                f"{self.run.processes} processes were asked for, Lightning has {trainer.world_size}: nothing is "
                "trained, because each of them would see the wrong share of the data"
            )
        return trainer

    def callbacks(self, ledger: Ledger, folder: Path) -> tuple[Keeper, list[Any]]:
        """Our own callback, and all callbacks with it in front."""
        callbacks, hooks = user_callbacks(self.run, self.parts.library)
        every, progress = None, None
        for name, node in self.run.callback_nodes.items():
            if target_of(node) == CHECKPOINTS:
                every = instantiate(f"callbacks.{name}", node).every_seconds
            elif target_of(node) == PROGRESS:
                progress = instantiate(f"callbacks.{name}", node).every_seconds
        if every is not None and (found := {name for each in callbacks for name in lightnings(each) & NOT_RESUMED}):
            every = AT_THE_END
            say(f"{found.pop()} can't go on from a checkpoint, so this run is saved at its end only")
        keeper = keeper_of(self.parts.library)
        keeper.start(self.parts.library, self.run, ledger, self.streams, folder, every, hooks, progress)
        own = self.parts.scheduler
        keeper.curves = own.made if isinstance(own, ScheduleFactory) else []
        return keeper, [keeper, *callbacks]

    def _finished(self, trainer: Any, checkpoint: Path, keeper: Keeper) -> bool:
        """Whether the run was killed between its last checkpoint and its record: only its test is missing then."""
        content = archive.read(checkpoint)
        if not content["paribus"]["finished"]:
            return False
        keeper.load(content["paribus"])
        keeper.steps = content["paribus"]["cursor"]["step"]
        keeper.segments.load(content["paribus"]["segments"], keeper.steps)
        restore(self.parts, trainer, content, content["state_dict"])
        return True

    def _test(self, trainer: Any, keeper: Keeper, folder: Path) -> dict[str, float]:
        """What the module logs in its test, with the weights that evaluation.checkpoint names."""
        weights = keeper.best_weights if self.run.evaluation.checkpoint == "best" else None
        if weights is not None:
            self.parts.module.load_state_dict(weights)
        if trainer.world_size == 1:
            return test(self, trainer)
        # With several processes the sampler of a test repeats samples, so one process tests alone.
        first = trainer.is_global_zero
        trainer.strategy.barrier()
        torch.distributed.destroy_process_group()
        return test(self, single_trainer(self, folder)) if first else {}

    def _say_what_is_missing(self, logged: Mapping[str, float], diverged: bool) -> None:
        """After the training: the result counts, and somebody must hear that it lacks something."""
        try:
            check_logged(self.run, logged)
        except NotLogged as error:
            if not diverged:
                log.warning("%s: %s", self.run.id, error)
                say(f"{self.run.id}: {error}")

    def _outcome(self, trainer: Any, keeper: Keeper, fit_seconds: float) -> Outcome:
        steps, seconds = keeper.steps or trainer.global_step, max(keeper.seconds, 1e-9)
        epochs = max(keeper.epochs, 1)
        return Outcome(
            metrics=dict(keeper.journal.metrics),
            timing={
                "steps": steps,
                "epochs": keeper.epochs,
                "samples": keeper.samples,
                "fit_seconds": fit_seconds,
                "update_seconds": keeper.seconds,
                "ms_per_update": seconds / max(steps, 1) * 1e3,
                "seconds_per_epoch": seconds / epochs,
                "samples_per_second": keeper.samples / seconds,
            },
            parameters=sum(p.numel() for p in self.parts.module.parameters()),
            diverged=keeper.diverged,
            device=torch.cuda.get_device_name() if self.run.trainer.on_gpu else "cpu",
            threads=torch.get_num_threads(),
            segments=keeper.segments.until(steps),
            chance={},  # what is declared is in the record already
        )


def test(lightning: Lightning, trainer: Any) -> dict[str, float]:
    """What a module logs in Lightning's test loop, with the weights that it has; nothing where it has no test."""
    parts = lightning.parts
    if not has_test(parts):
        return {}
    lightning.streams.test()
    with quiet():
        trainer.test(parts.module, datamodule=parts.datamodule, verbose=False)
    return numbers(trainer.callback_metrics)


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of the logged values that are single numbers.

    Of a value that is logged with on_step=True, Lightning's own table of a test has the name test_loss_epoch only, and
    callback_metrics has test_loss as well.
    """
    return {key: float(value) for key, value in values.items() if value.numel() == 1}


def has_test(parts: Parts) -> bool:
    """Whether the module has a test step and there are test samples."""
    overridden = parts.library.get("utilities.model_helpers.is_overridden")
    steps = overridden("test_step", parts.module)
    return bool(steps and overridden("test_dataloader", parts.source))


def single_trainer(lightning: Lightning, folder: Path) -> Any:
    """A Trainer of one process without callbacks and loggers, which tests."""
    return lightning.trainer([], [], folder, devices=1, num_nodes=1, strategy="auto")


def restore(parts: Parts, trainer: Any, checkpoint: dict[str, Any], weights: Mapping[str, Any]) -> None:
    """Give a module that was just made the state of a checkpoint, in the precision of the training, for a test."""
    trainer.precision_plugin.convert_module(parts.module)
    internal = frozenset({*vars(parts.library.pl.LightningModule()), "_hparams", "_hparams_initial"})
    parts.module.on_load_checkpoint(checkpoint)
    parts.module.load_state_dict(weights, strict=parts.module.strict_loading)
    restore_module(parts.module, internal, checkpoint.get("paribus", {}).get("module", {}))


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advertisements, and without its warnings about what is done here on purpose."""
    names = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in levels:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*(num_workers|does not have many workers|litlogger|LeafSpec).*",
            ".*is smaller than the logging interval.*",
            ".*Checkpoint directory .* exists and is not empty.*",
            ".*GPU available but not used.*",
            ".*The `srun` command is available.*",  # processes are started by Paribus
            ".*resuming from a checkpoint that ended before the epoch ended.*",
            ".*(found in|is an instance of `nn.Module` and is already saved|already saved during checkpointing).*",
        ):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)

"""Lightning's part of a run: trainer, callbacks, loggers; training and test."""

from __future__ import annotations

import functools
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.strategies import ModelParallelStrategy

from paribus.base.errors import Pruned, StandsStill, UserError
from paribus.base.extras import offered
from paribus.base.lightning_internals import leave_signals, own_arguments
from paribus.base.movement import STILL, complaint
from paribus.base.processes import is_first
from paribus.base.redaction import redacted
from paribus.base.scaling import mixed_in_float16
from paribus.base.signals import graceful_stop
from paribus.config.nodes import monitored, name_of
from paribus.config.run import Run
from paribus.run import build
from paribus.run.callbacks.checkpoints import Checkpoints
from paribus.run.data import RunData
from paribus.run.frozen import freeze
from paribus.run.journal import Journal
from paribus.run.loggers import finish, make_logger
from paribus.run.loop import Loop
from paribus.run.restart import NEXT, usable_checkpoint
from paribus.run.segments import largest_stack
from paribus.run.single import SingleEngine
from paribus.run.trainee import Trainee
from paribus.store.history import HistoryWriter
from paribus.store.record import Record

# Warnings about what is done here on purpose, and about what can't happen here.
_ON_PURPOSE = (
    *("(num_workers|does not have many workers|litlogger|LeafSpec|val_dataloader)", "GPU available but not used"),
    *("this fit will run with no optimizer", "Checkpoint directory .* exists and is not empty"),
    "WeightAveraging doesn't support sharding",
    "The `srun` command is available",  # processes are started by Paribus
    "Mismatch dtype between input and weight",  # torch's RMS norm in mixed precision: right, and a little slower
)
LIGHTNING = ("pytorch_lightning", "lightning_fabric", "lightning.fabric")  # its loggers


@dataclass
class Outcome:
    """What a finished training leaves for its record."""

    metrics: dict[str, float]
    chance: dict[str, float]  # what guessing scores
    timing: dict[str, float]
    parameters: int
    diverged: bool
    device: str
    threads: int  # sums of another number of threads may differ in their last bits
    segments: list[dict[str, Any]]  # see `paribus.run.segments`
    pruned: dict[str, str] = field(default_factory=dict)  # why a search has stopped it, and which


def fit(run: Run, setting: build.Setting, data: RunData, record: Record, folder: Path) -> Outcome:
    """Train from the last checkpoint of this run, or from the start, and test."""
    set_threads(run)
    history = HistoryWriter(folder / "history.csv")
    loop = build_loop(run, setting, history)
    callbacks = build_callbacks(run, folder) + [each for watch in offered("callbacks") for each in watch(run)]
    loggers = build_loggers(run, record, folder)
    outcome: Outcome | None = None
    try:
        trainer = build_trainer(run, callbacks, loggers, folder)
        if trainer.world_size != run.processes:
            raise UserError(
                f"{run.processes} processes were asked for, Lightning has {trainer.world_size}: nothing is "
                "trained, because each of them would see the wrong share of the data"
            )
        checkpoint = usable_checkpoint(folder)
        (folder / "checkpoints" / NEXT).unlink(missing_ok=True)  # of a stack that it has left
        started = time.perf_counter()
        with quiet_lightning(), graceful_stop(loop.request_stop):
            try:
                trainer.fit(loop, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
            except MisconfigurationException as error:  # a callback that can't work
                raise UserError(f"Lightning can't train this: {error}") from error
            except Pruned:
                pass
        if loop.still > STILL:
            raise StandsStill(complaint(loop.still, run.precision, name_of(run.optimizer)))
        outcome = outcome_of(run, loop, data, time.perf_counter() - started)
        return outcome
    finally:
        conclude(outcome, history.flush, loggers, loop.metrics)


def conclude(
    outcome: Outcome | None, flush: Callable[[], None], loggers: Sequence[Any], metrics: Mapping[str, float]
) -> None:
    """End the history and the loggers of a training, whatever came of it; outcome: None where it failed."""
    try:
        flush()
    except OSError:
        if outcome is not None:  # else there is a reason already
            outcome = None
            raise
    finally:
        finish(loggers, failed=outcome is None, summary=final_summary(outcome, metrics))


def outcome_of(run: Run, loop: Loop, data: RunData, fit_seconds: float) -> Outcome:
    cursor = data.cursor
    seconds = max(cursor.seconds, 1e-9)
    epochs = max(cursor.step / data.plan.updates_in(0), 1e-9)
    segments = loop.trainees[0].segments.until(cursor.step)
    return Outcome(
        metrics=dict(loop.metrics),
        chance=loop.trainees[0].task.chance(),
        timing={
            "steps": cursor.step,
            "epochs": round(epochs, 4),
            "samples": cursor.samples,
            "fit_seconds": fit_seconds,
            "update_seconds": cursor.seconds,
            "ms_per_update": seconds / max(cursor.step, 1) * 1e3,
            "seconds_per_epoch": seconds / epochs,
            "samples_per_second": cursor.samples / seconds,
            **largest_stack(segments),
        },
        parameters=sum(p.numel() for p in loop.network.parameters()),
        diverged=loop.diverged,
        device=torch.cuda.get_device_name() if run.trainer.on_gpu else "cpu",
        threads=torch.get_num_threads(),
        segments=segments,
        pruned=loop.pruned,
    )


def final_summary(outcome: Outcome | None, metrics: Mapping[str, float]) -> dict[str, Any]:
    """What loggers keep as the result of a run: the numbers of its record, and its status."""
    if outcome is None:
        return {**metrics, "status": "failed"}
    status = "pruned" if outcome.pruned else "diverged" if outcome.diverged else "done"
    return {**outcome.metrics, **outcome.timing, "parameters": outcome.parameters, "status": status}


def set_threads(run: Run) -> None:
    if run.trainer.threads is not None:
        torch.set_num_threads(run.trainer.threads)


def build_loop(run: Run, setting: build.Setting, history: HistoryWriter | None) -> Loop:
    evaluation = run.evaluation
    trainee = build_trainee(run, setting, history)
    with build.as_user_error("freeze"):
        frozen = freeze(trainee.network, run.freeze)
    engine = SingleEngine(
        trainee,
        frozen=frozen,
        evaluation_batch_size=evaluation.batch_size,
        statistics=evaluation.statistics,
        compile=run.trainer.compile,
    )
    return Loop(
        engine, accumulate=run.trainer.accumulate, evaluate_every=evaluation.every, test_weights=evaluation.checkpoint
    )


def build_trainee(run: Run, setting: build.Setting, history: HistoryWriter | None) -> Trainee:
    return Trainee(
        network=build.build_network(run, setting),
        task=setting.task,
        make_optimizer=functools.partial(build.build_optim, run),
        schedule=setting.schedule,
        follows=monitored(run.scheduler) or "val/loss",
        measures=build.build_measures(run, setting),
        order_seed=build.stream(run, "order"),
        augmentation_seed=build.stream(run, "augmentation"),
        dropout_seed=build.stream(run, "init"),
        journal=Journal(history, run.evaluation.monitor, run.declared),
        id=run.id,
        clip_norm=run.clip.norm,
        clip_value=run.clip.value,
    )


def build_callbacks(run: Run, folder: Path) -> list[pl.Callback]:
    callbacks = build.build_callbacks(run)
    for callback in callbacks:
        if isinstance(callback, Checkpoints):
            callback.folder = folder / "checkpoints"
    return callbacks


def build_loggers(run: Run, record: Record, folder: Path) -> list[Any]:
    if not is_first():
        return []
    shown = {
        "id": record.id,
        "group": redacted(run.group),
        "arm": redacted(run.arm),
        "seed": run.seed,
        "tags": redacted(list(run.tags)),
        "config": redacted(run.shown) | {"choices": record.choices},
    }
    loggers: list[Any] = []
    try:
        for name, node in run.logger_nodes.items():
            loggers.append(make_logger(f"logger.{name}", node, shown, folder))
    except BaseException:
        finish(loggers, failed=True)
        raise
    return loggers


def build_trainer(
    run: Run,
    callbacks: list[pl.Callback],
    loggers: list[Any],
    folder: Path,
    plugins: Sequence[Any] = (),
) -> pl.Trainer:
    own = run.trainer
    strategy: Any = own.strategy
    if strategy == "fsdp":
        # Its default is tensor parallelism within a machine, where every process would see the same samples.
        strategy = ModelParallelStrategy(run.processes, tensor_parallel_size=1, save_distributed_checkpoint=False)
    scaled = own.precision == "16-mixed"
    with quiet_lightning(), build.as_user_error("trainer"), own_arguments():
        try:
            trainer = pl.Trainer(
                accelerator=own.accelerator,
                devices=own.devices,
                num_nodes=own.num_nodes,
                strategy=strategy,
                # Ranks are ours, whatever cluster's variables they see.
                plugins=[LightningEnvironment(), *([mixed_in_float16(run.device)] if scaled else []), *plugins],
                precision=None if scaled else own.precision,
                deterministic=own.deterministic,
                profiler=own.profiler,
                max_epochs=-1,  # the data knows where the budget ends
                limit_val_batches=0,  # the task validates
                logger=loggers or False,
                callbacks=callbacks,
                enable_checkpointing=any(isinstance(c, pl.callbacks.Checkpoint) for c in callbacks),
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=str(folder),
            )
            leave_signals(trainer)
            return trainer
        except (MisconfigurationException, RuntimeError) as error:
            # "No supported gpu backend found!" and the like
            raise UserError(f"trainer: {error} Use trainer=cpu, or a machine that has the device") from error


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's advertisements and without warnings about what is done here on purpose."""
    named = map(logging.getLogger, LIGHTNING)
    # Setting a level takes 0.3 ms, since every logger then forgets what it is enabled for.
    levels = {logger: logger.level for logger in named if logger.level != logging.WARNING}
    for logger in levels:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in _ON_PURPOSE:
            warnings.filterwarnings("ignore", message=f".*{message}")
        try:
            yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)

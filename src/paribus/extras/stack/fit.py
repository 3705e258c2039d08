"""Lightning's part of a stack: replicas from configs, one trainer for all, an outcome for each."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from paribus.base.signals import graceful_stop
from paribus.config.nodes import target_of
from paribus.config.run import Run
from paribus.extras.stack.checkpoint import Regroup, StackCheckpoints, StackIO
from paribus.extras.stack.data import StackedData
from paribus.extras.stack.members import Member, NotBegun
from paribus.extras.stack.optimizers import Setting
from paribus.extras.stack.replica import Replica
from paribus.extras.stack.task import StackedLoop
from paribus.run import build
from paribus.run.bookkeeping import failure_type
from paribus.run.callbacks.checkpoints import Checkpoints, save_best
from paribus.run.callbacks.monitors import GradientMonitor, LearningRateMonitor
from paribus.run.data import RunData
from paribus.run.fit import (
    Outcome,
    build_callbacks,
    build_loggers,
    build_trainer,
    final_summary,
    quiet_lightning,
)
from paribus.run.instantiate import instantiate
from paribus.run.journal import Journal
from paribus.run.loggers import finish
from paribus.run.segments import largest_stack
from paribus.store.history import HistoryWriter

OBSERVERS = (GradientMonitor, LearningRateMonitor)
Finish = Callable[[Member, str, str, Outcome], None]


def fit_stack(
    members: Sequence[Member], setting: build.Setting, data: RunData, finished: Finish, compile: bool
) -> None:
    """Train the members together from their last checkpoints, or from the start, and test them.

    members: the rows of the stack, in order; those that are absent are places only.
    finished: called for each with how it ended (done, diverged, failed), the reason of a failure, and the outcome.

    Raises Regroup where the living members should go on as a smaller stack.
    """
    started = time.perf_counter()
    replicas = [build_replica(member, setting, writes=not member.absent) for member in members]
    stacked = StackedData(data, [replica.order_seed for replica in replicas])
    task = build_stacked_task(members[0].run, setting, replicas, lambda k: release(k), compile)

    def release(*ended: int) -> None:
        seconds = (time.perf_counter() - started) / len(replicas)
        for k in ended:
            replica = replicas[k]
            how = replica.ended or "done"
            replica.journal.flush()
            if saves and replica.best_is_new and replica.best_weights is not None and replica.folder is not None:
                save_best(replica.folder, replica.best_weights, replica.journal)  # it was killed before they were
            outcome = outcome_of(task, k, seconds)
            numbers = final_summary(None if how == "failed" else outcome, outcome.metrics)
            endings.submit(finish, replica.loggers, failed=how == "failed", summary=numbers)
            replica.loggers = ()
            finished(members[k], how, replica.failure, outcome)

    first = next(member for member in members if not member.absent)
    folders = [(first if member.absent else member).folder / "checkpoints" for member in members]
    callbacks, saves = stack_callbacks(first, folders)
    trainer = build_trainer(first.run, callbacks, [], first.folder, plugins=[StackIO(folders)])
    resume = saves and all((folder / "last.ckpt").exists() for folder in folders)
    # A server that hangs holds up the end of each W&B run: of all at once, rather than one after the other.
    endings = ThreadPoolExecutor(len(replicas))
    try:
        for replica, member in zip(replicas, members, strict=True):
            if member.absent:
                replica.ended = "absent"
                continue
            replica.loggers = build_loggers(member.run, member.record, member.folder)
        with quiet_lightning(), graceful_stop(task.request_stop):
            try:
                trainer.fit(task, datamodule=stacked, ckpt_path=folders[0] if resume else None)
            except Exception as error:
                if task.begun or isinstance(error, Regroup) or failure_type(error) == "out_of_memory":
                    raise
                raise NotBegun from error
        release(*task.living())
    finally:
        for replica in replicas:
            replica.journal.flush()
            if replica.ended == "absent":
                continue
            endings.submit(finish, replica.loggers, failed=True, summary=final_summary(None, replica.journal.metrics))
        endings.shutdown()


def build_replica(member: Member, setting: build.Setting, *, writes: bool = True) -> Replica:
    """writes: whether it keeps a history, and what its observers see."""
    run = member.run
    own = build.build_setting(run)
    history = HistoryWriter(member.folder / "history.csv") if writes else None
    watching = {n: node for n, node in run.callback_nodes.items() if writes and _watches(node)}
    monitors = [instantiate(f"callbacks.{name}", node) for name, node in watching.items()]
    return Replica(
        network=build.build_network(run, own),
        loss=own.loss,
        loss_key=json.dumps(run.loss, sort_keys=True),
        optimizer=Setting(
            functools.partial(build.build_optim, run), own.schedule, json.dumps(run.scheduler, sort_keys=True)
        ),
        order_seed=build.stream(run, "order"),
        augmentation_seed=build.stream(run, "augmentation"),
        dropout_seed=build.stream(run, "init"),
        id=member.record.id,
        journal=Journal(history, run.evaluation.monitor),
        clip_norm=run.clip.norm,
        clip_value=run.clip.value,
        observers=[monitor for monitor in monitors if isinstance(monitor, OBSERVERS)],
        folder=member.folder / "checkpoints",
    )


def _watches(node: Mapping[str, Any]) -> bool:
    watching = ("paribus.callback.LearningRateMonitor", "paribus.callback.GradientMonitor")
    return target_of(node) in watching


def build_stacked_task(
    run: Run, setting: build.Setting, replicas: Sequence[Replica], release: Callable[[int], None], compile: bool
) -> StackedLoop:
    return StackedLoop(
        replicas,
        setting.augmentation,
        release=release,
        accumulate=run.trainer.accumulate,
        compile=compile,
        evaluate_every=run.evaluation.every,
        evaluation_batch_size=run.evaluation.batch_size,
        test_weights=run.evaluation.checkpoint,
    )


def stack_callbacks(member: Member, folders: Sequence[Path]) -> tuple[list[pl.Callback], bool]:
    """The callbacks of a single run in their forms for a stack, and whether checkpoints are written."""
    found: list[pl.Callback] = []
    saves = False
    for callback in build_callbacks(member.run, member.folder):
        if isinstance(callback, Checkpoints):
            checkpoints = StackCheckpoints(callback.every_seconds)
            checkpoints.folder = folders[0]
            found.append(checkpoints)
            saves = True
        elif not isinstance(callback, OBSERVERS):
            found.append(callback)
    return found, saves


def outcome_of(task: StackedLoop, k: int, fit_seconds: float) -> Outcome:
    """As of a single run; times are the replica's share of the stack's, and `stack` says how many shared."""
    data, cursor = task.data, task.data.cursor
    segments = task.replicas[k].segments.until(cursor.step)
    seconds = max(task.share_of(cursor.seconds), 1e-9)
    epochs = max(cursor.step / data.plan.updates_in(0), 1e-9)
    return Outcome(
        metrics=dict(task.replicas[k].journal.metrics),
        timing={
            "steps": cursor.step,
            "epochs": round(epochs, 4),
            "samples": cursor.samples,
            "fit_seconds": fit_seconds,
            "update_seconds": seconds,
            "ms_per_update": seconds / max(cursor.step, 1) * 1e3,
            "seconds_per_epoch": seconds / epochs,
            "samples_per_second": cursor.samples / seconds,
            "total_seconds": fit_seconds,
            **largest_stack(segments),
        },
        parameters=sum(p.numel() for p in task.network.replicas[k].parameters()),
        diverged=task.replicas[k].ended == "diverged",
        device=torch.cuda.get_device_name() if task.device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        segments=segments,
    )

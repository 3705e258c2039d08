"""Lightning's part of a stack: replicas from configs, one trainer for all, an outcome for each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch

from paribus.base.signals import graceful_stop
from paribus.config.nodes import target_of
from paribus.config.run import Run
from paribus.datasets.prepare import Splits, TensorSet
from paribus.extras.stack.checkpoint import Regroup, StackCheckpoints, StackIO
from paribus.extras.stack.engine import StackEngine
from paribus.extras.stack.members import Member, NotBegun
from paribus.run import build
from paribus.run.bookkeeping import failure_type
from paribus.run.callbacks.checkpoints import Checkpoints, save_best
from paribus.run.callbacks.observer import Observer
from paribus.run.data import RunData
from paribus.run.fit import (
    Outcome,
    build_callbacks,
    build_loggers,
    build_trainee,
    build_trainer,
    final_summary,
    quiet_lightning,
)
from paribus.run.instantiate import instantiate
from paribus.run.loggers import finish
from paribus.run.loop import Loop
from paribus.run.segments import largest_stack
from paribus.run.trainee import Trainee
from paribus.store.history import HistoryWriter

OBSERVERS = ("paribus.callback.LearningRateMonitor", "paribus.callback.GradientMonitor")
How = Literal["done", "diverged", "failed"]
Finish = Callable[[Member, How, str, Outcome], None]


def fit_stack(members: Sequence[Member], data: RunData, finished: Finish, compile: bool) -> None:
    """Train the members together from their last checkpoints, or from the start, and test them.

    members: the rows of the stack, in order; those that are absent are places only.
    finished: called for each with how it ended (done, diverged, failed), the reason of a failure, and the outcome.

    Raises Regroup where the living members should go on as a smaller stack.
    """
    started = time.perf_counter()
    trainees = [build_member(member, data.splits) for member in members]
    stacked = for_stack(data, [trainee.order_seed for trainee in trainees])
    loop = build_stack_loop([member.run for member in members], trainees, lambda k: release(k), compile)

    def release(*ended: int) -> None:
        seconds = (time.perf_counter() - started) / len(trainees)
        for k in ended:
            run = trainees[k]
            how: How = "done" if run.ended is None or run.ended == "absent" else run.ended
            run.journal.flush()
            if saves and run.best_is_new and run.best_weights is not None and run.folder is not None:
                save_best(run.folder, run.best_weights, run.journal)  # it was killed before they were
            outcome = outcome_of(loop, k, seconds)
            numbers = final_summary(None if how == "failed" else outcome, outcome.metrics)
            endings.submit(finish, run.loggers or (), failed=how == "failed", summary=numbers)
            run.loggers = ()
            finished(members[k], how, run.failure, outcome)

    first = next(member for member in members if not member.absent)
    folders = [(first if member.absent else member).folder / "checkpoints" for member in members]
    callbacks, saves = stack_callbacks(first, folders)
    trainer = build_trainer(first.run, callbacks, [], first.folder, plugins=[StackIO(folders)])
    resume = saves and all((folder / "last.ckpt").exists() for folder in folders)
    # A server that hangs holds up the end of each W&B run: of all at once, rather than one after the other.
    endings = ThreadPoolExecutor(len(trainees))
    try:
        for run, member in zip(trainees, members, strict=True):
            if not member.absent:
                run.loggers = build_loggers(member.run, member.record, member.folder)
        with quiet_lightning(), graceful_stop(loop.request_stop):
            try:
                trainer.fit(loop, datamodule=stacked, ckpt_path=folders[0] if resume else None)
            except Exception as error:
                if loop.begun or isinstance(error, Regroup) or failure_type(error) == "out_of_memory":
                    raise
                raise NotBegun from error
        release(*loop.living())
    finally:
        for run in trainees:
            run.journal.flush()
            if run.ended != "absent":
                endings.submit(finish, run.loggers or (), failed=True, summary=final_summary(None, run.journal.metrics))
        endings.shutdown()


def build_member(member: Member, splits: Splits) -> Trainee:
    """A member as a trainee; one that is absent writes nothing, and nobody watches it."""
    run = member.run
    history = None if member.absent else HistoryWriter(member.folder / "history.csv")
    trainee = build_trainee(run, build.build_setting(run), history)
    trainee.task.prepare(splits)
    trainee.folder = member.folder / "checkpoints"
    if member.absent:
        trainee.ended, trainee.released = "absent", True
        return trainee
    watching = {name: node for name, node in run.callback_nodes.items() if target_of(node) in OBSERVERS}
    trainee.observers = [instantiate(f"callbacks.{name}", node) for name, node in watching.items()]
    return trainee


def task_key(run: Run) -> str:
    """Equal for runs of one stack whose tasks are the same function."""
    return json.dumps(run.loss, sort_keys=True)


def schedule_key(run: Run) -> str:
    """Equal for runs of one stack whose schedules are the same curve."""
    return json.dumps(run.scheduler, sort_keys=True)


def build_stack_loop(
    runs: Sequence[Run],
    trainees: Sequence[Trainee],
    release: Callable[[int], None],
    compile: bool,
    engine: type[StackEngine] = StackEngine,
) -> Loop:
    first = runs[0]
    evaluation = first.evaluation
    loop = Loop(
        engine(
            trainees,
            task_keys=list(map(task_key, runs)),
            schedule_keys=list(map(schedule_key, runs)),
            accumulate=first.trainer.accumulate,
            evaluate_every=evaluation.every,
            evaluation_batch_size=evaluation.batch_size,
            compile=compile,
        ),
        accumulate=first.trainer.accumulate,
        evaluate_every=evaluation.every,
        test_weights=evaluation.checkpoint,
        release=release,
    )
    loop.strict_loading = False  # members bring their states themselves
    return loop


def for_stack(data: RunData, order_seeds: Sequence[int]) -> RunData:
    """The data of any of the runs, which share splits, batch size, budget and the growth of the batch, in the order of
    each of them."""
    assert isinstance(data.splits.train, TensorSet), "only resident data can be stacked"
    return RunData(
        data.splits,
        data.base_batch_size,
        data.budget,
        schedule=data.schedule,
        order_seed=order_seeds,
        drop_last=data.drop_last,
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
        elif not isinstance(callback, Observer):
            found.append(callback)
    return found, saves


def outcome_of(loop: Loop, k: int, fit_seconds: float) -> Outcome:
    """As of a single run; times are the replica's share of the stack's, and `stack` says how many shared."""
    data, cursor = loop.data, loop.data.cursor
    segments = loop.trainees[k].segments.until(cursor.step)
    seconds = max(loop.share_of(cursor.seconds), 1e-9)
    epochs = max(cursor.step / data.plan.updates_in(0), 1e-9)
    return Outcome(
        metrics=dict(loop.trainees[k].journal.metrics),
        chance=loop.trainees[k].task.chance(),
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
        parameters=sum(p.numel() for p in loop.trainees[k].network.parameters()),
        diverged=loop.trainees[k].ended == "diverged",
        device=torch.cuda.get_device_name() if loop.device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        segments=segments,
    )

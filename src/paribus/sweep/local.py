"""The local launcher: the jobs of a sweep on the slots of this machine, each in a fresh process of the fork server."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from paribus.base.durations import duration
from paribus.base.errors import Interrupted, JobFailed, RunsFailed, UserError
from paribus.base.processes import scrubbed
from paribus.base.redaction import redacted_override, redacted_text
from paribus.config.composer import Composer
from paribus.run.bookkeeping import declared, failed, new_record, summary
from paribus.store.lock import Busy
from paribus.store.record import FINISHED, Record
from paribus.sweep.board import Board, Running
from paribus.sweep.child import count_gpus, prepare, targets_of, train_job
from paribus.sweep.fork import ForkServer, close_shared
from paribus.sweep.gpus import VISIBLE, names_of_gpus
from paribus.sweep.grouping import grouping
from paribus.sweep.job import Job
from paribus.sweep.libraries import import_once
from paribus.sweep.options import Options
from paribus.sweep.ranks import check_one_machine
from paribus.sweep.result import Result, death
from paribus.sweep.slots import Slots

TICK = 0.2  # seconds between looks at clocks
BUSY_SECONDS = 0.5  # between looks at a run that another launcher trains
LOOK = 5.0  # seconds between looks at the records of running stacks
GRACE = 60.0  # seconds that a job has for saving when its time is up


class LocalLauncher:
    """Runs command lines as Hydra's launchers do.

    server: forks the processes. folder: for what the jobs print while they run.
    """

    def __init__(self, options: Options, composer: Composer, server: ForkServer, folder: Path):
        self.options = options
        self.composer = composer
        self.server = server
        self.folder = folder
        self.cpu = Slots.of_cpu(options.slots, options.threads)
        self.gpus: Slots | None = None
        self.mps = Slots(["mps"], options.jobs_per_gpu)
        self.checked: set[str] = set()  # kinds of jobs that work
        self.libraries: tuple[str, ...] = ()  # modules that jobs had to import
        self.stopping = ""  # asked, told
        self.failed_for_good: list[str] = []
        self.looked = 0.0  # when running jobs were looked at last

    def launch(self, commands: Sequence[Sequence[str]]) -> list[JobReturn]:
        """The results of all jobs, in their order.

        Raises Interrupted when the user stops it (every run can go on then), and RunsFailed for the first failure if
        on_failure is stop.
        """
        self.results: dict[int, JobReturn] = {}
        self.waiting = deque((number, tuple(command)) for number, command in enumerate(commands))
        self.ready: deque[Job] = deque()  # composed, but there was no slot, or no lock, or they are tried again
        self.running: dict[int, Job] = {}
        self.runs = {number: grouping().runs_of(command) for number, command in enumerate(commands)}
        total = sum(len(runs) or 1 for runs in self.runs.values())
        self.board = Board(total, self.cpu.capacity)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.stoppable():
            while self.running or (not self.stopping and (self.waiting or self.ready)):
                if self.stopping == "asked":
                    self.stop_all()
                elif not self.stopping:
                    self.start()
                for ended in self.server.ended(TICK if self.running else 0.02):
                    self.end(self.running.pop(ended.key), ended.code, ended.result)
                self.look_at_clocks()
        self.board.close()
        if self.failed_for_good:
            raise RunsFailed(self.failed_for_good)
        if self.stopping:
            raise Interrupted(f"stopped: {self.board.done} of {total} runs are done; the same command resumes")
        return [self.results[number] for number in range(len(commands))]

    # ------------------------------------------------------------------------------------------ starting

    def start(self) -> None:
        """Start what there is room for, in order; a run that another process trains is left for later."""
        now = time.monotonic()
        full: set[int] = set()
        for job in [job for job in self.ready if job.not_before <= now]:
            if id(job.slots) in full or not self.try_start(job):
                full.add(id(job.slots))
            else:
                self.ready.remove(job)
        while self.waiting and not self.ready_at(now):
            new = self.compose(*self.waiting.popleft())
            if new is not None and not self.try_start(new):
                self.ready.append(new)

    def ready_at(self, now: float) -> bool:
        """Whether a job waits for a slot, which those behind it must not take from it."""
        return any(job.not_before <= now for job in self.ready)

    def compose(self, number: int, overrides: tuple[str, ...]) -> Job | None:
        try:
            job = Job(number, overrides, self.composer(overrides), self.runs[number])
            job.slots = self.slots_of(job)
        except UserError as error:
            self.fail(number, overrides, error)
            return None
        return job

    def slots_of(self, job: Job) -> Slots:
        check_one_machine(job.run)
        accelerator = job.run.trainer.accelerator
        if accelerator not in ("gpu", "cuda"):
            return self.mps if accelerator == "mps" else self.cpu
        if self.gpus is None:
            names = names_of_gpus(self.options.gpus, lambda: self.ask(count_gpus))
            self.gpus = Slots(names, self.options.jobs_per_gpu)
            self.board.at_a_time = max(1, self.gpus.capacity)
        if job.run.trainer.devices > 1 and any(name.startswith("MIG-") for name in self.gpus.free):
            raise UserError(
                f"trainer.devices={job.run.trainer.devices}: a run uses one instance of a GPU that MIG has cut, since "
                "CUDA gives a process no more. Use trainer.devices=1, or a machine whose GPUs are whole"
            )
        return self.gpus

    def ask(self, function: Any) -> Any:
        """The result of a function in a process of its own."""
        key = self.server.fork(function, (), scrubbed(os.environ))
        while True:
            for ended in self.server.ended(TICK):
                if ended.key == key:
                    return ended.result
                self.end(self.running.pop(ended.key), ended.code, ended.result)

    def try_start(self, job: Job) -> bool:
        """Whether the job is on its way or has a result already; False where it must wait for a slot."""
        if (record := job.finished()) is not None:
            self.complete(job, record, seconds=None)
            return True
        if job.is_locked:
            job.not_before = time.monotonic() + BUSY_SECONDS
            if job not in self.ready:
                self.ready.append(job)
                return True
            return False
        assert job.slots is not None
        devices = job.run.trainer.devices
        threads = job.run.trainer.threads or self.options.threads
        if job.slots is self.cpu:
            units = len(self.cpu.free)
            devices = units if job.alone else min(units, devices * -(-threads // self.options.threads))
        try:
            job.place = job.slots.take(devices, job.alone)
        except UserError as error:
            self.fail(job.number, job.overrides, error)
            return True
        if job.place is None:
            return False
        environment = {**scrubbed(os.environ), "OMP_NUM_THREADS": str(threads)}
        if job.slots is self.gpus:
            environment[VISIBLE] = ",".join(job.place.units)
        job.started, job.out_of_time = time.monotonic(), None
        arguments = (job.run, dict(job.composed.choices), job.overrides, threads, job.kind in self.checked)
        before: list[Any] = [(prepare, (job.run.data, sorted(set(targets_of(job.run)))))]
        if threads == 1 and self.libraries:  # pools take their size from the environment when they are imported
            before.append((import_once, (self.libraries,)))
        self.running[self.server.fork(train_job, arguments, environment, str(self.output(job)), before)] = job
        return True

    def output(self, job: Job) -> Path:
        """Where a job prints while it runs; afterwards it lies in the folder of the run."""
        return self.folder / f"{job.id}.log"

    # ------------------------------------------------------------------------------------------ ending

    def end(self, job: Job, code: int, result: Result | None) -> None:
        assert job.slots is not None
        assert job.place is not None
        job.slots.give_back(job.place)
        seconds = time.monotonic() - job.started
        if result is not None and result.kind in (*FINISHED, "pruned"):
            self.checked.add(job.kind)
            self.libraries = tuple(dict.fromkeys((*self.libraries, *result.imported)))
            known = declared(job.run, {})
            self.complete(job, Record(job.id, result.kind, metrics=dict(result.metrics), declared=known), seconds)  # type: ignore[arg-type]
        elif result is not None and result.kind == "left":
            self.left(job, result, seconds)
        elif (record := job.finished()) is not None:  # killed after its last word
            self.complete(job, record, seconds)
        elif result is not None and result.kind == "busy":
            job.not_before = time.monotonic() + BUSY_SECONDS
            self.ready.append(job)
        elif self.stopping and result is None and code in (130, -signal.SIGKILL):
            self.keep_output(job)  # it is saved and goes on another time
        elif result is not None and result.kind == "invalid":
            self.board.say(f"failed: {job.name}: {result.message}")
            self.fail(job.number, job.overrides, UserError(result.message))
            self.keep_output(job)
        else:
            self.failure(job, self.cause(job, code, result))

    def cause(self, job: Job, code: int, result: Result | None) -> Result:
        """What a process that did not finish died of."""
        if job.out_of_time is not None:
            assert self.options.time_limit is not None
            return Result("timeout", message=f"took longer than {duration(self.options.time_limit)}")
        if result is not None:
            return result
        if code < 0:
            return Result("killed", message=death(code))
        if code == 130:
            return Result("killed", message="ended by SIGTERM")
        return Result("bug", message=f"ended with exit code {code}", traceback=tail(self.output(job)))

    def failure(self, job: Job, cause: Result) -> None:
        """Say it, record it, and try again if the options say so."""
        cause = replace(
            cause,
            message=redacted_text(cause.message, job.run.resolved),
            traceback=redacted_text(cause.traceback, job.run.resolved),
        )
        job.failures[cause.kind] = job.failures.get(cause.kind, 0) + 1
        again = not self.stopping and job.failures[cause.kind] <= self.options.retries.get(cause.kind, 0)
        if cause.kind in ("killed", "timeout") and not job.is_stack:
            self.record(job, cause)
        if not again:
            self.keep_output(job)
        folder = job.store.run_dir(job.id)
        log = next(path for path in (folder / "train.log", folder / "output.log", self.output(job)) if path.exists())
        lines = [f"failed: {job.name}: {cause.kind}: {cause.message}", *cause.traceback.splitlines(), f"  {log}"]
        if again:
            lines.append("  it is tried again and resumes from its last checkpoint")
        self.board.say("\n".join(lines))
        if again:
            job.alone = True  # beside others it may have had too little memory
            self.ready.append(job)
        else:
            self.fail(job.number, job.overrides, JobFailed(f"{cause.kind}: {cause.message}"))

    def record(self, job: Job, cause: Result) -> None:
        """Write what the dead process could not."""
        # A full disk takes no record either: the run counts as not trained. Busy: somebody trains it again already.
        with suppress(OSError, Busy), job.store.lock(job.id):
            if job.finished() is None:
                known = job.store.read(job.id) or new_record(job.run, job.composed.choices, job.overrides)
                job.store.write(failed(known, cause.kind, cause.message, job.run))

    def complete(self, job: Job, record: Record, seconds: float | None) -> None:
        value = record.metrics.get(job.run.optimized_metric)
        self.results[job.number] = JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=value)
        result = summary(record) if record.status == "done" else record.status
        self.board.finished(seconds, f"{job.name}: {result}", len(job.runs))
        self.keep_output(job)

    def left(self, job: Job, result: Result, seconds: float) -> None:
        """A stack has trained some of its runs or none: the others come back as jobs of their own."""
        job.look()
        rest = len(job.runs) - job.ended
        self.results[job.number] = JobReturn(job.overrides, status=JobStatus.COMPLETED, _return_value=None)
        if result.message:
            self.board.say(f"{rest} runs are trained one by one: {result.message}")
        self.board.finished(seconds, "", job.ended)
        self.board.total -= rest
        self.keep_output(job)

    def fail(self, number: int, overrides: tuple[str, ...], error: Exception) -> None:
        self.results[number] = JobReturn(overrides, status=JobStatus.FAILED, _return_value=error)
        self.board.failed += len(self.runs[number]) or 1
        if self.options.on_failure == "stop":
            self.failed_for_good.append(f"{' '.join(map(redacted_override, overrides))}: {error}")
            self.stopping = self.stopping or "asked"

    def keep_output(self, job: Job) -> None:
        folder, output = job.store.run_dir(job.id), self.output(job)
        if not output.exists():
            return
        if folder.exists():
            output.replace(folder / "output.log")
        elif not output.stat().st_size:
            output.unlink()

    # ------------------------------------------------------------------------------------------ time and signals

    def look_at_clocks(self) -> None:
        now = time.monotonic()
        for key, job in self.running.items():
            limit = self.options.time_limit
            if limit is not None and job.out_of_time is None and now - job.started > limit:
                job.out_of_time = now
                self.server.stop(key)
            elif job.out_of_time is not None and now - job.out_of_time > GRACE:
                self.server.kill(key)
        if self.board.due(now):
            self.show(now)

    def show(self, now: float) -> None:
        jobs = list(self.running.values())
        if now - self.looked > LOOK:
            self.looked = now
            for job in jobs:
                job.look()
                job.says = last_progress(self.output(job))
        self.board.show([Running(now - job.started, len(job.runs), job.ended, job.says) for job in jobs], now)

    def stop_all(self) -> None:
        """Every running job stops at its next safe point and saves."""
        self.stopping = "told"
        self.board.say(f"stopping: {len(self.running)} runs save and stop. Press Ctrl-C again to stop at once")
        for key in self.running:
            self.server.stop(key)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM lets every running job save and stop; a second Ctrl-C ends them at once."""
        numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]

        def handle(number: int, frame: Any) -> None:
            if self.stopping and number == signal.SIGINT:
                close_shared()
                raise Interrupted("stopped at once; the same command resumes from the last checkpoints")
            self.stopping = self.stopping or "asked"

        previous = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def tail(path: Path, lines: int = 8) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def last_progress(path: Path) -> str:
    """The last line of progress among what a job printed lately; libraries print their warnings there too."""
    return next((line for line in reversed(tail(path).splitlines()) if " · " in line), "")

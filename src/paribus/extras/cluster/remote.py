"""Jobs on other machines: what is sent there, what comes back, and how the results of all are collected.

Only command lines travel. Each is composed where it is trained, so nothing of Hydra's state has to be pickled and
planning is not slowed down by composing every job here.
"""

from __future__ import annotations

import os
import pickle
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus

from paribus.base.errors import Interrupted, RankFailed, UserError
from paribus.base.redaction import redacted_override, redacted_text
from paribus.base.terminal import say
from paribus.config.compose import load, resolved, user_errors
from paribus.config.composer import Composer
from paribus.config.run import Run
from paribus.store.lock import Busy
from paribus.sweep.jobs import JobLost
from paribus.sweep.meeting import Node
from paribus.sweep.slurm_step import step

CommandLine = tuple[str, ...]


@dataclass(frozen=True)
class Returned:
    """What a run came to: the metric that a sweeper optimizes, or the error, with its traceback where it is a bug."""

    value: float | None = None
    error: Exception | None = None
    trace: str = ""


@dataclass(frozen=True)
class Order:
    """Runs that one job trains, one after the other.

    numbers: where these runs stand among those that were asked for.
    folder: the working directory, which holds ./conf and relative paths. environment: variables of Paribus.
    devices: processes that each of these runs has on a machine, on a GPU each if on_gpu. cpus: for all of those.
    nodes: machines that train each of these runs together; every one of them gets this order.
    """

    runs: tuple[CommandLine, ...]
    numbers: tuple[int, ...]
    folder: str
    environment: Mapping[str, str]
    devices: int = 1
    on_gpu: bool = False
    cpus: int = 1
    nodes: int = 1

    def __call__(self) -> list[Returned]:
        os.chdir(self.folder)
        os.environ.update(self.environment)
        node = step(os.environ) if self.nodes > 1 else None
        if node is None or node.number == 0:
            return [train_here(run, node) for run in self.runs]
        with suppress(Interrupted):  # the first node is asked what became of the runs, and it alone is requeued
            for run in self.runs:
                train_here(run, node)
        return []

    def checkpoint(self) -> Any:
        """Asked by submitit when the time of a job is up: the same order again, which goes on where this one stood."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def train_here(overrides: CommandLine, node: Node | None = None) -> Returned:
    """Compose a command line and train what it describes. node: this machine, among several that do."""
    from paribus.sweep.dispatch import dispatch

    run: Run | None = None
    try:
        with user_errors():
            composed = load(overrides)
            run = Run.parse(resolved(composed))
        choices, task = dict(composed.hydra.runtime.choices), list(composed.hydra.overrides.task)
        record = dispatch(run, choices, task, node=node)
        return Returned(record.metrics.get(run.optimized_metric))
    except UserError as error:
        return Returned(error=error)
    except Exception as error:
        return Returned(
            error=portable(error), trace=redacted_text(traceback.format_exc(), run.resolved if run else None)
        )


def portable(error: Exception) -> Exception:
    """The error, or where it can't travel one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def orders(command_lines: Sequence[Sequence[str]], runs_per_job: int = 1) -> list[Order]:
    """The jobs for these command lines; runs that need other resources never share one."""
    composer = Composer()
    environment = {key: value for key, value in os.environ.items() if key.startswith("PARIBUS_")}
    alike: dict[tuple[int, bool, int, int], list[tuple[int, CommandLine]]] = {}
    for number, command_line in enumerate(command_lines):
        run = composer(command_line).run
        needed = (run.trainer.devices, run.trainer.on_gpu, cpus_of(run), run.trainer.num_nodes)
        alike.setdefault(needed, []).append((number, tuple(command_line)))
    made = []
    for (devices, on_gpu, cpus, nodes), runs in alike.items():
        for first in range(0, len(runs), runs_per_job):
            numbers, lines = zip(*runs[first : first + runs_per_job], strict=True)
            made.append(Order(lines, numbers, str(Path.cwd()), environment, devices, on_gpu, cpus, nodes))
    return made


def cpus_of(run: Run) -> int:
    """CPUs of a machine: for each process one, or `trainer.threads`, and one for each worker that reads its samples."""
    return run.trainer.devices * ((run.trainer.threads or 1) + run.data.workers)


class Ticket(Protocol):
    """A job that a cluster has accepted."""

    def ended(self) -> bool: ...

    def result(self) -> list[Returned]:
        """Raises whatever the cluster says of a job that died."""
        ...

    def cancel(self) -> None: ...


Submit = Callable[[Sequence[Order]], Sequence[Ticket]]


@dataclass
class Collection:
    """Sends jobs, waits for all of them, and says on the way what fails and how far they are.

    parallel: at most so many jobs are sent at a time; None leaves the waiting to the cluster's own queue.
    retries: how often a job that was killed is sent again; its runs go on from their checkpoints.
    every_seconds: between two lines of progress. poll_seconds: between two looks at the jobs.
    """

    submit: Submit
    parallel: int | None = None
    retries: int = 0
    every_seconds: float = 30.0
    poll_seconds: float = 0.2

    def run(self, sent: Sequence[Order]) -> list[JobReturn]:
        """A result for each run, in the order of their numbers. A job that died takes no other with it.

        Ctrl-C cancels the jobs; every run can go on later.
        """
        waiting = deque(range(len(sent)))
        tickets: dict[int, Ticket] = {}
        answers: dict[int, list[Returned]] = {}
        attempts: Counter[int] = Counter()
        said = time.monotonic()
        try:
            while len(answers) < len(sent):
                free = len(sent) if self.parallel is None else self.parallel - len(tickets)
                if ready := [waiting.popleft() for _ in range(min(free, len(waiting)))]:
                    tickets.update(zip(ready, self.submit([sent[number] for number in ready]), strict=True))
                time.sleep(self.poll_seconds)
                for number, ticket in list(tickets.items()):
                    if not ticket.ended():
                        continue
                    answer = self.answer(sent[number], tickets.pop(number))
                    attempts[number] += 1
                    if was_killed(answer) and attempts[number] <= self.retries:
                        say("  it is tried again and resumes from its last checkpoint")
                        waiting.append(number)
                    else:
                        answers[number] = answer
                if time.monotonic() - said >= self.every_seconds:
                    said = time.monotonic()
                    say(f"{len(answers)} of {len(sent)} jobs have ended")
        except BaseException:
            say(f"cancelling {len(tickets)} jobs; the same command resumes their runs")
            for ticket in tickets.values():
                ticket.cancel()
            raise
        results = {
            run_number: job_return(run, returned)
            for number, order in enumerate(sent)
            for run_number, run, returned in zip(order.numbers, order.runs, answers[number], strict=True)
        }
        return [results[number] for number in sorted(results)]

    def answer(self, order: Order, ticket: Ticket) -> list[Returned]:
        try:
            answers = ticket.result()
        except JobLost as lost:
            answers = [Returned(error=lost)] * len(order.runs)
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = f"{type(error).__name__}: {' '.join(lines[:2])}"
            answers = [Returned(error=JobLost(reason))] * len(order.runs)
        for run, returned in zip(order.runs, answers, strict=True):
            if returned.error is not None and not isinstance(returned.error, Busy):
                say(f"failed: {' '.join(map(redacted_override, run))}: {returned.error}\n{returned.trace}".rstrip())
        return answers


def was_killed(answers: Sequence[Returned]) -> bool:
    """Whether a job, or a process or machine of one of its runs, was killed, and nobody wanted that."""
    errors = [each.error for each in answers]
    lost = any(isinstance(error, JobLost) and not error.wanted for error in errors)
    return lost or any(isinstance(error, RankFailed) and error.kind == "killed" for error in errors)


def job_return(run: CommandLine, returned: Returned) -> JobReturn:
    result = JobReturn(overrides=list(run))
    result.status = JobStatus.COMPLETED if returned.error is None else JobStatus.FAILED
    result.return_value = returned.value if returned.error is None else returned.error
    return result

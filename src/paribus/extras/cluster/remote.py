"""Jobs on other machines: what is sent there, what comes back, and how the results of all are collected.

Only command lines travel. Each is composed where it is trained, so nothing of Hydra's state has to be pickled and
planning is not slowed down by composing every job here.
"""

from __future__ import annotations

import os
import pickle
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus

from paribus.base.errors import UserError
from paribus.base.redaction import redacted_override, redacted_text
from paribus.base.terminal import say
from paribus.config.compose import load, resolved, user_errors
from paribus.config.composer import Composer
from paribus.config.run import Run
from paribus.store.lock import Busy
from paribus.sweep.jobs import JobLost

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
    devices: processes that each of these runs has, on a GPU each if on_gpu. cpus: for all of its processes.
    """

    runs: tuple[CommandLine, ...]
    numbers: tuple[int, ...]
    folder: str
    environment: Mapping[str, str]
    devices: int = 1
    on_gpu: bool = False
    cpus: int = 1

    def __call__(self) -> list[Returned]:
        os.chdir(self.folder)
        os.environ.update(self.environment)
        return [train_here(run) for run in self.runs]

    def checkpoint(self) -> Any:
        """Asked by submitit when the time of a job is up: the same order again, which goes on where this one stood."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def train_here(overrides: CommandLine) -> Returned:
    """Compose a command line and train what it describes."""
    from paribus.sweep.dispatch import dispatch

    run: Run | None = None
    try:
        with user_errors():
            composed = load(overrides)
            run = Run.parse(resolved(composed))
        record = dispatch(run, dict(composed.hydra.runtime.choices), list(composed.hydra.overrides.task))
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
    alike: dict[tuple[int, bool, int], list[tuple[int, CommandLine]]] = {}
    for number, command_line in enumerate(command_lines):
        run = composer(command_line).run
        needed = (run.processes, run.trainer.on_gpu, cpus_of(run))
        alike.setdefault(needed, []).append((number, tuple(command_line)))
    made = []
    for (devices, on_gpu, cpus), runs in alike.items():
        for first in range(0, len(runs), runs_per_job):
            numbers, lines = zip(*runs[first : first + runs_per_job], strict=True)
            made.append(Order(lines, numbers, str(Path.cwd()), environment, devices, on_gpu, cpus))
    return made


def cpus_of(run: Run) -> int:
    """CPUs for a run: for each process one, or `trainer.threads`, and one for each worker that reads its samples."""
    return run.processes * ((run.trainer.threads or 1) + run.data.workers)


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
    every_seconds: between two lines of progress. poll_seconds: between two looks at the jobs.
    """

    submit: Submit
    parallel: int | None = None
    every_seconds: float = 30.0
    poll_seconds: float = 0.2

    def run(self, sent: Sequence[Order]) -> list[JobReturn]:
        """A result for each run, in the order of their numbers. A job that died takes no other with it.

        Ctrl-C cancels the jobs; every run can go on later.
        """
        tickets: list[Ticket] = []
        answers: dict[int, list[Returned]] = {}
        said = time.monotonic()
        try:
            while len(answers) < len(sent):
                free = len(sent) if self.parallel is None else self.parallel - (len(tickets) - len(answers))
                if ready := sent[len(tickets) : len(tickets) + free]:
                    tickets += self.submit(ready)
                time.sleep(self.poll_seconds)
                for number, ticket in enumerate(tickets):
                    if number not in answers and ticket.ended():
                        answers[number] = self.answer(sent[number], ticket)
                if time.monotonic() - said >= self.every_seconds:
                    said = time.monotonic()
                    say(f"{len(answers)} of {len(sent)} jobs have ended")
        except BaseException:
            say(f"cancelling {len(tickets) - len(answers)} jobs; the same command resumes their runs")
            for number, ticket in enumerate(tickets):
                if number not in answers:
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


def job_return(run: CommandLine, returned: Returned) -> JobReturn:
    result = JobReturn(overrides=list(run))
    result.status = JobStatus.COMPLETED if returned.error is None else JobStatus.FAILED
    result.return_value = returned.value if returned.error is None else returned.error
    return result

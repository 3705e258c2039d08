"""The training of runs through any of Hydra's launchers. Their records decide whether they succeeded.

A launcher's word is not enough: jobs that were killed have been reported as completed (hydra#1928), one dead job makes
some launchers forget the results of all others, and another launcher may be working on the same runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.utils import JobReturn, JobStatus

from paribus.base.errors import JobFailed, RankFailed, RunsFailed, StorageFailed, UserError
from paribus.base.hydra_internals import error_of
from paribus.base.terminal import say
from paribus.store.lock import Busy
from paribus.store.store import Store

Launch = Callable[..., Sequence[JobReturn]]  # Hydra's Launcher.launch


class JobLost(Exception):
    """A job ended without saying what became of its runs: killed, out of memory, its machine gone.

    wanted: somebody has cancelled it, or its time was up: it would end so again."""

    wanted = False


@dataclass(frozen=True)
class Job:
    """What a launcher gets: a command line, and the runs that it trains (several are a stack)."""

    line: Sequence[str]
    runs: tuple[str, ...]

    @property
    def is_stack(self) -> bool:
        return any(item.startswith("members=") for item in self.line)


class Jobs:
    """Hands command lines to a launcher until each run has a result: a record, or a reason why there is none.

    launch: trains a list of command lines, as any of Hydra's launchers does.
    """

    def __init__(self, launch: Launch, store: Store):
        self.launch = launch
        self.store = store
        self.launched = 0
        self.poll_seconds = 0.2

    def train(
        self, lines: Mapping[str, Sequence[str]], jobs_of: Callable[[Sequence[str]], Sequence[Job]] | None = None
    ) -> dict[str, str]:
        """Train the runs (id -> command line) that have no result; what went wrong with each that still has none.

        A run that another process trains is waited for, and is trained here only if that process gives up on it.

        jobs_of: makes jobs of several runs; by default each run is a job.
        """
        failures: dict[str, str] = {}
        alone: set[str] = set()  # a stack left them out, because somebody else had them then
        while left := [id for id in lines if id not in failures and not self.finished(id)]:
            free = [id for id in left if not self.store.is_locked(id)]
            if not free:
                self.wait(left)
                continue
            together = [id for id in free if id not in alone] if jobs_of else []
            jobs = [
                *(jobs_of(together) if jobs_of else ()),
                *(Job(lines[id], (id,)) for id in free if id not in together),
            ]
            if len(jobs) < len(free):
                say(f"{len(free)} runs in {len(jobs)} jobs: runs with the same program are trained as a stack")
            results, reason = self.attempt([job.line for job in jobs])
            for job, result in zip(jobs, results, strict=True):
                failed = result is not None and result.status == JobStatus.FAILED
                error = error_of(result) if failed and result is not None else None
                for id in job.runs:
                    if self.finished(id) or isinstance(error, Busy) or self.store.is_locked(id):
                        continue
                    if job.is_stack and result is not None and not failed:
                        alone.add(id)
                    elif error is None or isinstance(error, JobLost):
                        failures[id] = self.lost(id, f" ({error})" if error is not None else reason)
                    else:
                        failures[id] = self.said(id, error) if job.is_stack else described(error)
        return failures

    def said(self, id: str, error: BaseException) -> str:
        """What went wrong with one run of a stack: its own record knows it best."""
        record = self.store.read(id)
        own = getattr(error, "failures", {}).get(id) or (record.failure or {}).get("message") if record else None
        return own or described(error)

    def finished(self, id: str) -> bool:
        return self.store.finished(id) is not None

    def attempt(self, jobs: Sequence[Sequence[str]]) -> tuple[Sequence[JobReturn | None], str]:
        """What the launcher says of each job, and why where it says nothing at all."""
        first, self.launched = self.launched, self.launched + len(jobs)
        try:
            results = self.launch([list(job) for job in jobs], initial_job_idx=first)
        except (UserError, RunsFailed):  # nothing could be launched at all, or the first failure is to end everything
            raise
        except Exception as error:  # one dead job must not take the other runs of the sweep with it
            return [None] * len(jobs), f" ({type(error).__name__}: {error})"
        return results, ""

    def lost(self, id: str, reason: str) -> str:
        """The message for a run whose job left neither a result nor an error."""
        record = self.store.read(id)
        if record is not None and record.failure is not None:
            return record.failure["message"]
        stands = "it resumes from its last checkpoint" if record is not None else "it had not begun"
        return f"killed: the job ended without a result; {stands}{reason}"

    def wait(self, ids: Sequence[str]) -> None:
        """Until one of the runs is let go of by whoever trains it."""
        say(f"waiting for {len(ids)} runs that other processes are training")
        while all(self.store.is_locked(id) for id in ids):
            time.sleep(self.poll_seconds)


def described(error: BaseException) -> str:
    """What people read: the name of an exception says nothing where the message was written for them."""
    return (
        str(error)
        if isinstance(error, UserError | JobFailed | RankFailed | StorageFailed)
        else f"{type(error).__name__}: {error}"
    )

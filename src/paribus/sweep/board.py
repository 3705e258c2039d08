"""The progress of a sweep: one line, rewritten on a terminal, printed now and then into a log file."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from paribus.base.durations import duration, in_seconds
from paribus.base.redaction import redacted_text
from paribus.base.terminal import plain

RECENT = 10.0  # seconds for which the last result is shown, before what running jobs say
_LEFT = re.compile(r"·((?: \d+ (?:s|min|h|d))+) left$")


@dataclass(frozen=True)
class Running:
    """A job under way. seconds: since it started. runs: that it trains, of which `ended` have a result.

    says: its own line of progress, of what it trains at the moment.
    """

    seconds: float
    runs: int = 1
    ended: int = 0
    says: str = ""

    @property
    def left(self) -> float | None:
        """Seconds to the end of what it trains at the moment, as it estimates them itself."""
        found = _LEFT.search(self.says)
        return in_seconds(found[1]) if found else None


class Board:
    """Prints `12 of 64 done · 2 running · 1 failed · 3 min 20 s left · norm=layer seed 3: test/acc 97.20 %`.

    total: runs. at_a_time: how many jobs go on at once; a job is a run, or a stack of them. every_seconds: between two
    lines in a log file.
    """

    def __init__(self, total: int, at_a_time: int, every_seconds: float = 10.0, stream: TextIO | None = None):
        self.total = total
        self.at_a_time = at_a_time
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every_seconds = 0.25 if self.terminal else every_seconds
        self.done = self.failed = 0
        self.last = ""
        self._spent = 0.0  # seconds of all jobs that have ended,
        self._trained = 0  # and how many runs they trained
        self._shown = self._finished = time.monotonic()

    def finished(self, seconds: float | None, what: str, runs: int = 1) -> None:
        """A job has its results; `seconds` that it took, None where another process trained it."""
        self.done += runs
        self.last = what
        self._finished = time.monotonic()
        if seconds is not None:
            self._spent += seconds
            self._trained += runs

    def say(self, text: str) -> None:
        """A message that stays."""
        self.stream.write(("\r\033[K" if self.terminal else "") + plain(redacted_text(text)) + "\n")
        self.stream.flush()

    def due(self, now: float) -> bool:
        """Whether it is time for a new line."""
        return now - self._shown >= self.every_seconds

    def show(self, running: Sequence[Running], now: float) -> None:
        """Print the line."""
        self._shown = now
        line = self.line(running, now)
        self.stream.write(f"\r\033[K{line[: _width()]}" if self.terminal else f"{line}\n")
        self.stream.flush()

    def line(self, running: Sequence[Running], now: float) -> str:
        parts = [f"{self.done + sum(job.ended for job in running)} of {self.total} done", f"{len(running)} running"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if (left := self.left(running)) is not None:
            parts.append(f"{duration(left)} left")
        longest = max((job for job in running if job.says), key=lambda job: job.seconds, default=None)
        if longest is None or (self.last and now - self._finished < RECENT):
            said = self.last
        else:
            said = _LEFT.sub("", longest.says).rstrip()  # one estimate is enough
        return " · ".join([*parts, plain(said)] if said else parts)

    def left(self, running: Sequence[Running]) -> float | None:
        """Seconds to the end, if what waits takes as long as what is finished; None before there is anything to go by.

        A job that trains several runs has used its time for those that have ended, and in equal parts for the others.
        What it says itself is of the runs that it trains at the moment, so it takes as long at least.
        """
        partly = [job for job in running if job.ended]
        trained = self._trained + sum(job.ended for job in partly)
        waiting = self.total - self.done - self.failed - sum(job.runs for job in running)
        own = [job.left for job in running]
        if not trained:
            return None if waiting > 0 or None in own else max((each for each in own if each is not None), default=None)
        mean = (self._spent + sum(job.seconds for job in partly)) / trained
        rest = [
            max(mean * (job.runs - job.ended) - (0.0 if job.ended else job.seconds), said or 0.0)
            for job, said in zip(running, own, strict=True)
        ]
        jobs = len(running) + waiting
        work = waiting * mean + sum(rest)
        return max(work / min(self.at_a_time, max(1, jobs)), max(rest, default=0.0))

    def close(self) -> None:
        if self.terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1

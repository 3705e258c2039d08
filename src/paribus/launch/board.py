"""How far a sweep is: one line, rewritten on a terminal, printed now and then into a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from paribus.durations import duration


@dataclass(frozen=True)
class Running:
    """A job under way. seconds: since it started. runs: that it trains, of which `ended` have a result."""

    seconds: float
    runs: int = 1
    ended: int = 0


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
        self._shown = time.monotonic()

    def finished(self, seconds: float | None, what: str, runs: int = 1) -> None:
        """A job has its results; `seconds` that it took, None where another process trained it."""
        self.done += runs
        self.last = what
        if seconds is not None:
            self._spent += seconds
            self._trained += runs

    def say(self, text: str) -> None:
        """A message that stays."""
        self.stream.write(("\r\033[K" if self.terminal else "") + text + "\n")
        self.stream.flush()

    def due(self, now: float) -> bool:
        """Whether it is time for a new line."""
        return now - self._shown >= self.every_seconds

    def show(self, running: Sequence[Running], now: float, inside: str = "") -> None:
        """Print the line. inside: what a running job says of itself, for want of results."""
        self._shown = now
        line = self.line(running, inside)
        self.stream.write(f"\r\033[K{line[: _width()]}" if self.terminal else f"{line}\n")
        self.stream.flush()

    def line(self, running: Sequence[Running], inside: str = "") -> str:
        parts = [f"{self.done + sum(job.ended for job in running)} of {self.total} done", f"{len(running)} running"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if (left := self.left(running)) is not None:
            parts.append(f"{duration(left)} left")
        what = self.last or inside
        return " · ".join([*parts, what] if what else parts)

    def left(self, running: Sequence[Running]) -> float | None:
        """Seconds to the end, if what is left takes as long as what is finished; None before anything is.

        A job that trains several runs has used its time for those that have ended, and in equal parts for the others.
        """
        partly = [job for job in running if job.ended]
        trained = self._trained + sum(job.ended for job in partly)
        if not trained:
            return None
        mean = (self._spent + sum(job.seconds for job in partly)) / trained
        waiting = self.total - self.done - self.failed - sum(job.runs for job in running)
        rest = [mean * (job.runs - job.ended) - (0.0 if job.ended else job.seconds) for job in running]
        work = waiting * mean + sum(max(each, 0.0) for each in rest)
        jobs = len(running) + waiting
        return max(work / min(self.at_a_time, max(1, jobs)), max(rest, default=0.0))

    def close(self) -> None:
        if self.terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1

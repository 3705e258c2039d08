"""How far a sweep is: one line, rewritten on a terminal, printed now and then into a log file."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from paribus.durations import duration


class Board:
    """Prints `12 of 64 done · 2 running · 1 failed · 3 min 20 s left · norm=layer seed 3: test/acc 97.20 %`.

    total: jobs. at_a_time: how many run at once. every_seconds: between two lines in a log file.
    """

    def __init__(self, total: int, at_a_time: int, every_seconds: float = 10.0, stream: TextIO | None = None):
        self.total = total
        self.at_a_time = at_a_time
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every_seconds = 0.25 if self.terminal else every_seconds
        self.done = self.failed = 0
        self.last = ""
        self._durations: list[float] = []
        self._shown = time.monotonic()

    def finished(self, seconds: float | None, what: str) -> None:
        """A job has a result; `seconds` that it took, None where another process trained it."""
        self.done += 1
        self.last = what
        if seconds is not None:
            self._durations.append(seconds)

    def say(self, text: str) -> None:
        """A message that stays."""
        self.stream.write(("\r\033[K" if self.terminal else "") + text + "\n")
        self.stream.flush()

    def show(self, running: list[float], now: float) -> None:
        """Print the line if it is time to. running: seconds since each running job started."""
        if now - self._shown < self.every_seconds:
            return
        self._shown = now
        line = self.line(running)
        self.stream.write(f"\r\033[K{line[: _width()]}" if self.terminal else f"{line}\n")
        self.stream.flush()

    def line(self, running: list[float]) -> str:
        parts = [f"{self.done} of {self.total} done", f"{len(running)} running"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if (left := self.left(running)) is not None:
            parts.append(f"{duration(left)} left")
        return " · ".join([*parts, self.last] if self.last else parts)

    def left(self, running: list[float]) -> float | None:
        """Seconds to the end, if what is left takes as long as what is finished; None before anything is."""
        if not self._durations:
            return None
        mean = sum(self._durations) / len(self._durations)
        waiting = self.total - self.done - self.failed - len(running)
        work = waiting * mean + sum(max(mean - seconds, 0.0) for seconds in running)
        return work / min(self.at_a_time, max(1, waiting + len(running)))

    def close(self) -> None:
        if self.terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1

"""Progress of long computations other than training."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from paribus.base.durations import duration


class Ticker:
    """Prints `building the Hessian 640/3000 · 12 s left` to standard error.

    every_seconds: a log file gets at most one line in this time; a terminal's line is rewritten four times a second.
    """

    def __init__(self, every_seconds: float = 10.0, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every = 0.25 if self.terminal else every_seconds
        self.shown = time.monotonic()
        self.stage = ""
        self.began, self.first = self.shown, 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """stage: its first word names it; what follows may change while it lasts."""
        now = time.monotonic()
        if (name := stage.split(maxsplit=1)[0]) != self.stage or done < self.first:
            self.stage, self.began, self.first = name, now, done
        if now - self.shown < self.every:
            return
        self.shown = now
        left = ""
        if done > self.first:
            seconds = (now - self.began) * (total - done) / (done - self.first)
            left = f" · {duration(seconds)} left at most"
        line = f"{stage} {done}/{total}{left}"
        self.stream.write(f"\r\033[K{line}" if self.terminal else f"{line}\n")
        self.stream.flush()

    def close(self) -> None:
        if self.terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()

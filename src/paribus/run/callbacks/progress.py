"""One line of progress that reads well on a terminal and in a log file."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

import pytorch_lightning as pl

from paribus.base.durations import duration
from paribus.base.metrics import Metrics


class Progress(pl.Callback):
    """Prints `epoch 5/20 · 190/760 updates · train/loss 0.312 · val/acc 95.3 % · 4 s left`.

    every_seconds: a log file gets at most one line in this time; a terminal's line is rewritten four times a second.
    """

    def __init__(self, every_seconds: float = 10.0, stream: TextIO | None = None):
        self.every_seconds = every_seconds
        self.stream = stream or sys.stderr
        self._shown = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loop: Any = pl_module
        self._started = self._shown = time.monotonic()
        self._fraction_at_start = loop.data.fraction_done()
        self._terminal = self.stream.isatty()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self._shown >= (0.25 if self._terminal else self.every_seconds) and trainer.is_global_zero:
            self._shown = now
            self._show(self.line(pl_module, now))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._terminal and trainer.is_global_zero:
            self.stream.write("\r\033[K")
            self.stream.flush()

    def line(self, pl_module: pl.LightningModule, now: float) -> str:
        loop: Any = pl_module
        data = loop.data
        parts = [data.describe_position()]
        known: Metrics = loop.journal.known
        for key in ("train/loss", f"val/{next(iter(known), 'loss')}"):
            if key in loop.metrics:
                value = loop.metrics[key]
                parts.append(f"{key} {value * 100:.1f} %" if known.of(key).is_percent else f"{key} {value:.4g}")
        done = data.fraction_done()
        if done > self._fraction_at_start:
            left = (now - self._started) * (1.0 - done) / (done - self._fraction_at_start)
            parts.append(f"{duration(left)} left")
        return " · ".join(parts)

    def _show(self, line: str) -> None:
        self.stream.write(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        self.stream.flush()

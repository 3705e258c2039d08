"""The base of callbacks that measure now and then, and take no more than their share of the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from paribus.base.errors import UserError
from paribus.datasets.prepare import LazySet, TensorSet
from paribus.extras.curvature.objective import Risk
from paribus.run.sharding import is_sharded
from paribus.techniques.norms.batch_norm import SyncBatchNorm

if TYPE_CHECKING:
    from paribus.run.loop import Loop


class Probe(pl.Callback):
    """Calls `measure` after every `every` updates, and logs what it returns to history, loggers and metrics.

    share: of the training time that measuring may take. A measurement that would exceed it, going by the last one, is
    left out; the first is always taken. null for no limit, which makes it certain which updates are measured.

    Measuring changes no weight, statistic or random stream, and its time counts neither in the run's timing nor in a
    budget in seconds. With several processes the first one measures, with its own share of the samples' statistics.
    """

    name = "probe"

    def __init__(self, every: int, share: float | None):
        if every < 1:
            raise ValueError(f"callbacks.{self.name}.every must be at least 1, got {every}")
        if share is not None and not 0.0 < share <= 1.0:
            raise ValueError(
                f"callbacks.{self.name}.share is a share of the training time in (0, 1], got {share}. Write 0.1, or "
                "null for no limit"
            )
        self.every = every
        self.share = share
        self.spent = 0.0
        self.last = 0.0

    def measure(self, loop: Loop) -> dict[str, float]:
        """Values by name; {} for nothing to say this time."""
        raise NotImplementedError

    def check(self, network: nn.Module, processes: int) -> None:
        """Called before training starts. Raises ValueError where it can't measure this network."""
        if processes > 1 and any(isinstance(module, SyncBatchNorm | nn.SyncBatchNorm) for module in network.modules()):
            raise ValueError(
                f"callbacks.{self.name} measures in one process, where norm=sync_batch would wait for the others. Use "
                "norm=batch, or leave the callback out"
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if is_sharded(pl_module.network):  # type: ignore[arg-type]
            raise UserError(
                f"callbacks.{self.name} needs the whole network in one process, and this one is sharded. Use "
                "trainer=ddp, or leave the callback out"
            )

    def on_update(self, loop: Loop) -> None:
        if loop.data.cursor.step % self.every == 0:
            self.take(loop)

    def take(self, loop: Loop) -> None:
        """Measure and log, if there is time for it."""
        if not loop.trainer.is_global_zero:
            return
        if self.share is not None and self.spent and self.spent + self.last > self.share * loop.data.cursor.seconds:
            return
        started = time.perf_counter()
        values = self.measure(loop)
        if values:
            loop.observe(values)
        self.last = time.perf_counter() - started
        self.spent += self.last
        loop.observed_seconds += self.last


def training_risk(loop: Loop, samples: int | None) -> Risk:
    """The loss that training descends, over evenly spaced training samples, in batches of about the training's size.

    Batch statistics are each batch's own; dropout and augmentation are off. In float32, or float64 if the run is.
    """
    part: TensorSet | LazySet = loop.data.splits.train
    number = len(part) if samples is None else min(samples, len(part))
    x, y = gather(loop, torch.arange(number) * len(part) // number)
    parts = max(1, number // loop.data.base_batch_size)
    pieces = list(zip(x.chunk(parts), y.chunk(parts), strict=True))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield from pieces

    dtype = torch.float64 if next(loop.network.parameters()).dtype == torch.float64 else torch.float32
    return Risk(loop.network, loop.trainees[0].task.loss, batches, number, dtype=dtype, statistics="batch")


def gather(loop: Loop, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Training samples (x, y) on the training device."""
    part: TensorSet | LazySet = loop.data.splits.train
    x, y = part.gather(indices.to(part.y.device))
    return x.to(loop.device), y.to(loop.device)

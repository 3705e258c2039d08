"""The data of a run as a LightningDataModule: whole batches of indices travel, samples stay on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pytorch_lightning as pl
import torch
from torch import Tensor

from paribus.data.batches import BatchPlan
from paribus.data.prepare import Splits, TensorSet
from paribus.task.progress import Budget, Cursor


class Chunk:
    """The indices of several successive batches: what one training step of the task works through.

    Lightning's loop costs about 0.35 ms for each step that it takes; a step over many updates shares that cost.
    """

    def __init__(self, batches: Sequence[Tensor], sizes: Sequence[int]):
        self.batches = batches
        self.sizes = sizes  # of the global batches, over all processes

    def to(self, device: torch.device, **_: object) -> Chunk:
        """Called by Lightning's transfer to the device: one copy for all batches."""
        if torch.device(device).type == "cpu" or not self.batches:
            return self
        lengths = [len(batch) for batch in self.batches]
        moved = torch.cat(list(self.batches)).to(device, non_blocking=True)
        return Chunk(moved.split(lengths), self.sizes)


class ChunkLoader(Iterable[Chunk]):
    """Yields what is left of the current epoch and of the budget, from where the cursor stands.

    updates_per_chunk may be changed at any time by the task, which measures how long an update takes. The result
    of a run does not depend on it.
    """

    def __init__(self, plan: BatchPlan, cursor: Cursor, updates: int | None, updates_per_chunk: int):
        self.plan = plan
        self.cursor = cursor
        self.updates = updates
        self.updates_per_chunk = updates_per_chunk

    def __iter__(self) -> Iterator[Chunk]:
        cursor = self.cursor
        epoch, first = cursor.epoch, cursor.update
        left = None if self.updates is None else max(0, self.updates - cursor.step)
        batches = islice(self.plan.epoch(epoch, first), left)
        size, in_epoch = self.plan.batch_size_at(epoch), self.plan.samples_in(epoch)
        number = first
        while chunk := list(islice(batches, self.updates_per_chunk)):
            sizes = [min(size, in_epoch - (number + k) * size) for k in range(len(chunk))]
            number += len(chunk)
            yield Chunk(chunk, sizes)


class ImageData(pl.LightningDataModule):
    """Training batches by plan, and the three splits.

    splits: train, validation and test sets, standardised; moved to the training device once.
    batch_size: the global batch; a function of the epoch number for a schedule that grows it.
    """

    def __init__(
        self,
        splits: Splits,
        batch_size: int,
        budget: Budget,
        *,
        order_seed: int,
        drop_last: bool,
    ):
        super().__init__()
        self.splits = splits
        self.batch_size = batch_size
        self.budget = budget
        self.order_seed = order_seed
        self.drop_last = drop_last
        self.cursor = Cursor()
        self.train: TensorSet = splits.train
        self.loader: ChunkLoader | None = None

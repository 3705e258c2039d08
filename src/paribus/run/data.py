"""The data of a run as a LightningDataModule: whole batches of indices travel, samples stay on the device."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from paribus.datasets.batches import BatchPlan
from paribus.datasets.prepare import LazySet, Splits, TensorSet, placed
from paribus.run.position import Budget, Cursor
from paribus.techniques.schedules import Schedule


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


class ChunkLoader(Iterable[Chunk | tuple[Tensor, Tensor]]):
    """Yields what is left of the current epoch and of the budget, from where the run stands.

    data.updates_per_chunk is read for every chunk: the task measures how long an update takes and changes it. The
    result of a run does not depend on it.
    """

    def __init__(self, data: RunData):
        self.data = data

    def __iter__(self) -> Iterator[Chunk | tuple[Tensor, Tensor]]:
        data, plan, cursor = self.data, self.data.plan, self.data.cursor
        epoch, number = cursor.epoch, cursor.update
        left = data.updates_left()
        batches = islice(plan.epoch(epoch, number), left)
        size, in_epoch = plan.batch_size_at(epoch), plan.samples_in(epoch)
        while chunk := list(islice(batches, data.updates_per_chunk)):
            sizes = [min(size, in_epoch - (number + k) * size) for k in range(len(chunk))]
            number += len(chunk)
            whole = Chunk(chunk, sizes)
            yield whole if data.in_chunks else next((x, y) for x, y, _ in data.batches(whole))


class RunData(pl.LightningDataModule):
    """Training batches by plan, and the three splits, with the position of the run in them.

    batch_size: the global batch, or "full" for the whole training set.
    schedule: asked for the growth of the batch; a batch never grows beyond the training set.
    order_seed: of the order of samples. R of them for a stack of R runs: its batches are x (R, N, ...), y (R, N, ...).
    resident samples lie on the training device once and for all; others are read by `workers` processes.

    Raises ValueError for a batch size that can't be and a schedule that does not go with the budget.
    """

    def __init__(
        self,
        splits: Splits,
        batch_size: int | str,
        budget: Budget,
        *,
        schedule: Schedule,
        order_seed: int | Sequence[int],
        drop_last: bool = False,
        workers: int = 0,
        world_size: int = 1,
        channels_last: bool = False,
    ):
        super().__init__()
        self.splits = splits
        self.budget = budget
        self.schedule = schedule
        self.workers = workers
        self.world_size = world_size
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.drop_last = drop_last
        self.order_seed = order_seed
        samples = len(splits.train)
        base = samples if batch_size == "full" else int(batch_size)
        if base == samples and samples % world_size:
            base = samples - samples % world_size
        self.base_batch_size = base
        for name, part in (("validation", splits.val), ("test", splits.test)):
            if len(part) < world_size:
                raise ValueError(
                    f"every process evaluates a share, and {world_size} processes have {len(part)} samples in the "
                    f"{name} set. Use a larger one or fewer processes"
                )
        self.plan = self._plan(0)
        self.updates = budget.updates(self.plan)
        self.horizon = budget.horizon(self.plan)
        if isinstance(schedule.warmup, int) and schedule.warmup and budget.unit == "seconds":
            raise ValueError(
                f"a budget in seconds has no known number of updates, so scheduler.warmup={schedule.warmup} has no "
                "place in it. Give the warm-up as a fraction, scheduler.warmup=0.05"
            )
        self.cursor = Cursor()
        self.in_chunks = True  # else each training step gets one batch (x, y), as Lightning's callbacks expect
        self.updates_per_chunk = 1
        self.exhausted = False
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self._evaluation_loaders: dict[str, DataLoader[Any]] = {}

    def _plan(self, rank: int) -> BatchPlan:
        size: int | Callable[[int], int] = self.base_batch_size
        if self.grows:
            if self.budget.unit != "epochs":
                raise ValueError(
                    f"a schedule that grows the batch needs a budget in epochs, got budget.{self.budget.unit}. "
                    "Use budget.epochs, or scheduler=multistep"
                )
            size = self._grown
        return BatchPlan(
            len(self.splits.train),
            size,
            seed=self.order_seed,
            drop_last=self.drop_last,
            rank=rank,
            world_size=self.world_size,
        )

    @property
    def grows(self) -> bool:
        """Whether the schedule lets the batch grow."""
        return self.schedule.batch_factor(1.0) != 1

    def _grown(self, epoch: int) -> int:
        most = len(self.splits.train) - len(self.splits.train) % self.world_size
        return min(most, self.base_batch_size * self.schedule.batch_factor(epoch / self.budget.amount))

    # ------------------------------------------------------------------------------------------ set-up

    def place(self, device: torch.device, dtype: torch.dtype, rank: int) -> None:
        """Move resident samples to the device, in the type that the network computes in; once for a process."""
        self.device, self.dtype, self.rank = device, dtype, rank
        for name in ("train", "val", "test"):
            part = getattr(self.splits, name)
            if isinstance(part, TensorSet):
                setattr(self.splits, name, part.to(device, dtype, self.memory_format))

    def train_dataloader(self) -> Iterable[Any]:
        """Called once by Lightning; iterated anew for every epoch."""
        self.plan = self._plan(self.trainer.global_rank if self.trainer else 0)
        train = self.splits.train
        if isinstance(train, TensorSet):
            return ChunkLoader(self)
        return DataLoader(
            cast(Dataset[Any], train),
            batch_sampler=RemainingBatches(self),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            persistent_workers=self.workers > 0,
            worker_init_fn=leave_signals,
        )

    def batch_shares(self) -> set[tuple[int, ...]]:
        """The sizes of the batches of the run, as far as they differ: how many samples go to which process."""
        epochs = {0}
        if self.budget.unit == "epochs":
            epochs |= set(range(int(self.budget.amount)))
        return {share for epoch in epochs for share in self.plan.shares(epoch)}

    # ------------------------------------------------------------------------------------------ batches

    def batches(self, chunk: Chunk | tuple[Tensor, Tensor]) -> Iterator[tuple[Tensor, Tensor, int]]:
        """(x, y, size of the global batch) for each update of a training step."""
        if isinstance(chunk, Chunk):
            train = self.splits.train
            assert isinstance(train, TensorSet)
            for indices, size in zip(chunk.batches, chunk.sizes, strict=True):
                x, y = train.gather(indices if indices.ndim == 1 else indices.t().flatten())
                if indices.ndim == 2:
                    x, y = (each.unflatten(0, (indices.shape[1], -1)) for each in (x, y))
                yield x, y, size
        else:
            x, y = chunk
            size = self.plan.batch_size_at(self.cursor.epoch)
            size = min(size, self.plan.samples_in(self.cursor.epoch) - self.cursor.update * size)
            yield placed(x, x.device, self.dtype, self.memory_format), y, size

    def evaluation_batches(self, split: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of a split, in order."""
        part: TensorSet | LazySet = getattr(self.splits, split)
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if isinstance(part, TensorSet):
            share = part if world == 1 else TensorSet(part.x[rank::world], part.y[rank::world], part.mean, part.std)
            # Every process takes as many steps, since sharded networks exchange weights in each.
            steps = math.ceil(math.ceil(len(part) / world) / batch_size)
            for step in range(steps):
                yield share.slice(step * len(share) // steps, (step + 1) * len(share) // steps)
        else:
            batches = equally_many(len(part), min(batch_size, 256), rank, world)
            for x, y in self._evaluation_loader(split, [list(batch) for batch in batches if batch]):
                yield (
                    placed(x, self.device, self.dtype, self.memory_format),
                    y.to(self.device, non_blocking=self.device.type == "cuda"),
                )
            if not batches[-1]:  # the others have one sample more
                yield placed(x[:0], self.device, self.dtype, self.memory_format), y[:0].to(self.device)

    def _evaluation_loader(self, split: str, batches: list[list[int]]) -> Iterable[tuple[Tensor, Tensor]]:
        """Samples that are read from a split. The workers of the validation set wait for its next evaluation."""
        found = self._evaluation_loaders.get(split)
        if found is None or found.batch_sampler != batches:
            found = self._evaluation_loaders[split] = DataLoader(
                cast(Dataset[Any], getattr(self.splits, split)),
                batch_sampler=batches,
                num_workers=self.workers,
                pin_memory=self.device.type == "cuda",
                persistent_workers=self.workers > 0 and split == "val",
                worker_init_fn=leave_signals,
                generator=torch.Generator(),  # so that an evaluation draws nothing from the stream of the training
            )
        return found

    # ------------------------------------------------------------------------------------------ position

    def position(self) -> tuple[float, float]:
        """(step, horizon) as schedules count: updates, or seconds for a budget in seconds."""
        done = self.cursor.seconds if self.updates is None else float(self.cursor.step)
        return min(done, self.horizon), self.horizon

    def spent(self) -> bool:
        """Whether the budget is used up."""
        if self.updates is None:
            return self.cursor.seconds >= self.budget.amount
        return self.cursor.step >= self.updates

    def updates_left(self) -> int | None:
        """Updates until the end of the run; None where the clock ends it."""
        if self.exhausted:
            return 0
        return None if self.updates is None else max(0, self.updates - self.cursor.step)

    def at_epoch_end(self) -> bool:
        return self.spent() or self.cursor.update >= self.plan.updates_in(self.cursor.epoch)

    def last_of_epoch(self) -> bool:
        """Whether the update under way is the last before the epoch's end, as far as that can be known."""
        cursor = self.cursor
        return self.last_of_run() or cursor.update + 1 >= self.plan.updates_in(cursor.epoch)

    def last_of_run(self) -> bool:
        """Whether the update under way is the last of the budget; never known where the clock ends it."""
        return self.updates is not None and self.cursor.step + 1 >= self.updates

    def end_epoch(self) -> None:
        self.cursor.epoch += 1
        self.cursor.update = 0
        self.exhausted = self.exhausted or self.spent()

    def fraction_done(self) -> float:
        step, horizon = self.position()
        return step / horizon

    def describe_position(self) -> str:
        cursor = self.cursor
        if self.updates is None:
            return f"epoch {cursor.epoch + 1} · {cursor.seconds:.0f}/{self.budget.amount:g} s"
        return f"epoch {cursor.epoch + 1} · {cursor.step}/{self.updates} updates"


def equally_many(samples: int, batch_size: int, rank: int, world: int) -> list[range]:
    """The batches of a process in an evaluation: as many for each, since sharded networks exchange weights in each.

    With samples >= world, at most the last one of a process is empty.
    """
    mine = range(rank, samples, world)
    if world == 1:
        return [mine[first : first + batch_size] for first in range(0, samples, batch_size)]
    steps = math.ceil(math.ceil(samples / world) / batch_size)
    return [mine[-(-k * len(mine) // steps) : -(-(k + 1) * len(mine) // steps)] for k in range(steps)]


def leave_signals(worker: int) -> None:
    """Called in a worker process of a DataLoader, which has inherited the handlers of the run: only that one stops,
    saves and asks a cluster for more time."""
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


class RemainingBatches(Sampler[list[int]]):
    """The indices of what is left of the current epoch and of the budget, for a DataLoader with workers."""

    def __init__(self, data: RunData):
        self.data = data

    def __iter__(self) -> Iterator[list[int]]:
        data = self.data
        for batch in islice(data.plan.epoch(data.cursor.epoch, data.cursor.update), data.updates_left()):
            yield batch.tolist()

"""Batches: the samples of each are a pure function of the seed, the epoch and the number of the update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from paribus.datasets.seeds import mix


class BatchPlan:
    """The order of epoch e is a permutation drawn from (seed, e) alone, so that any update can be found again.

    num_samples: size of the training set.
    batch_size: the global batch, over all processes; a function of the epoch number for a schedule that grows it.
    seed: of the order; several for a stack of runs, whose batches of indices are then (N, R).
    drop_last: leave out what does not fill a batch at the end of an epoch.
    rank, world_size: this process takes batch[rank::world_size] of every global batch. A last batch with fewer
    samples than processes is left out, since every process must take part in every update.

    Every other sample is seen exactly once in an epoch, by one process.

    Raises ValueError for a batch that is larger than the data or does not divide among the processes.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int | Callable[[int], int],
        *,
        seed: int | Sequence[int],
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.num_samples = num_samples
        self.seed = seed
        self.drop_last = drop_last
        self.rank = rank
        self.world_size = world_size
        self._size = batch_size if callable(batch_size) else None
        self._constant = 0 if callable(batch_size) else self._checked(batch_size)

    def batch_size_at(self, epoch: int) -> int:
        """Size of a full global batch in an epoch."""
        return self._checked(self._size(epoch)) if self._size is not None else self._constant

    def samples_in(self, epoch: int) -> int:
        """Number of samples that an epoch trains on."""
        size = self.batch_size_at(epoch)
        tail = self.num_samples % size
        return self.num_samples - tail if self.drop_last or tail < self.world_size else self.num_samples

    def updates_in(self, epoch: int) -> int:
        return -(-self.samples_in(epoch) // self.batch_size_at(epoch))

    def order(self, epoch: int) -> Tensor:
        """The indices of the samples that an epoch trains on, in their order, for all processes: (N,) or (N, R)."""
        if isinstance(self.seed, int):
            return self._order(self.seed, epoch)
        return torch.stack([self._order(seed, epoch) for seed in self.seed], 1)

    def _order(self, seed: int, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(mix(seed, 2, epoch))
        return torch.randperm(self.num_samples, generator=generator)[: self.samples_in(epoch)]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Index tensors of this process's share of each batch, from update number `start` of the epoch on."""
        batches = iter(self.order(epoch).split(self.batch_size_at(epoch)))
        if self.world_size > 1:
            batches = (batch[self.rank :: self.world_size] for batch in batches)
        return islice(batches, start, None)

    def shares(self, epoch: int = 0) -> set[tuple[int, ...]]:
        """The sizes of an epoch's batches, as far as they differ: of each, how many samples go to which process."""
        size, samples = self.batch_size_at(epoch), self.samples_in(epoch)
        whole = [size] if samples >= size else []
        globals_ = {*whole, *([samples % size] if samples % size else [])}
        return {tuple(-(-(each - rank) // self.world_size) for rank in range(self.world_size)) for each in globals_}

    def _checked(self, size: int) -> int:
        if size > self.num_samples:
            raise ValueError(
                f"a batch can't be larger than the training set of {self.num_samples} samples, got {size}. "
                "Use batch_size=full or a smaller one"
            )
        if size % self.world_size:
            below, above = size - size % self.world_size, size + self.world_size - size % self.world_size
            near = f"{below} or {above}" if below else f"{above}"
            raise ValueError(
                f"the global batch is divided among {self.world_size} processes, and {size} does not divide. "
                f"Use data.batch_size={near}"
            )
        return size

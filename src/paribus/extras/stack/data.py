"""The data of a stack: one resident data set, and for each replica the order that its own seed gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from paribus.datasets.batches import BatchPlan
from paribus.datasets.prepare import TensorSet
from paribus.run.data import Chunk, RunData


class StackedPlan(BatchPlan):
    """The plans of R replicas at once: batches of indices (N, R)."""

    def __init__(self, plans: Sequence[BatchPlan]):
        self.__dict__.update(plans[0].__dict__)
        self.plans = list(plans)

    def order(self, epoch: int) -> Tensor:
        return torch.stack([plan.order(epoch) for plan in self.plans], 1)


class StackedData(RunData):
    """RunData with R orders in place of one. Its batches are x (R, N, C, H, W), y (R, N).

    single: the data of any of the runs, which share splits, batch size, budget and the growth of the batch.
    order_seeds: one for each replica.
    """

    def __init__(self, single: RunData, order_seeds: Sequence[int]):
        assert isinstance(single.splits.train, TensorSet), "only resident data can be stacked"
        self.order_seeds = list(order_seeds)
        super().__init__(
            single.splits,
            single.base_batch_size,
            single.budget,
            schedule=single.schedule,
            order_seed=self.order_seeds[0],
            drop_last=single.drop_last,
        )

    def _plan(self, rank: int) -> BatchPlan:
        plans = []
        for seed in self.order_seeds:
            self.order_seed = seed
            plans.append(super()._plan(rank))
        return StackedPlan(plans)

    def batch_sizes(self) -> Counter[int]:
        """How many updates of the whole run have a batch of each size."""
        assert self.updates is not None, "the members of a stack share a clock: their budgets are not in seconds"
        found: Counter[int] = Counter()
        left, epoch = self.updates, 0
        while left > 0:
            size, samples, number = (
                self.plan.batch_size_at(epoch),
                self.plan.samples_in(epoch),
                self.plan.updates_in(epoch),
            )
            alike = 1 if self.grows else max(1, left // number)  # epochs
            whole = min(left, samples // size)
            found[size] += whole * alike
            if left > whole and samples % size:
                found[samples % size] += alike
            left, epoch = left - alike * number, epoch + alike
        return found

    def epochs(self) -> int:
        """How many epochs the whole run has, the last one perhaps in part."""
        assert self.updates is not None
        if self.grows:
            return int(self.budget.amount)
        return math.ceil(self.updates / self.plan.updates_in(0))

    @property
    def grows(self) -> bool:
        return self.schedule.batch_factor(1.0) != 1

    def evaluation_sizes(self, split: str, batch_size: int) -> Counter[int]:
        """How many batches of each size an evaluation has."""
        samples = len(getattr(self.splits, split))
        steps = math.ceil(samples / batch_size)
        return Counter((step + 1) * samples // steps - step * samples // steps for step in range(steps))

    def batches(self, chunk: Chunk | tuple[Tensor, Tensor]) -> Iterator[tuple[Tensor, Tensor, int]]:
        assert isinstance(chunk, Chunk)
        train = self.splits.train
        assert isinstance(train, TensorSet)
        replicas = len(self.order_seeds)
        for indices, size in zip(chunk.batches, chunk.sizes, strict=True):
            x, y = train.gather(indices.t().flatten())
            yield x.unflatten(0, (replicas, -1)), y.unflatten(0, (replicas, -1)), size

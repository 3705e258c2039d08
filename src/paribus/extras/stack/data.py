"""The numbers of batches of each size: they decide what a stack traces, and what it leaves to vmap."""

from __future__ import annotations

import math
from collections import Counter

from paribus.run.data import RunData


def batch_sizes(data: RunData) -> Counter[int]:
    """How many updates of the whole run have a batch of each size."""
    assert data.updates is not None, "the members of a stack share a clock: their budgets are not in seconds"
    plan, found = data.plan, Counter[int]()
    left, epoch = data.updates, 0
    while left > 0:
        size, samples, number = plan.batch_size_at(epoch), plan.samples_in(epoch), plan.updates_in(epoch)
        alike = 1 if data.grows else max(1, left // number)  # epochs
        whole = min(left, samples // size)
        found[size] += whole * alike
        if left > whole and samples % size:
            found[samples % size] += alike
        left, epoch = left - alike * number, epoch + alike
    return found


def epochs(data: RunData) -> int:
    """How many epochs the whole run has, the last one perhaps in part."""
    assert data.updates is not None
    return int(data.budget.amount) if data.grows else math.ceil(data.updates / data.plan.updates_in(0))


def evaluation_sizes(data: RunData, split: str, batch_size: int) -> Counter[int]:
    """How many batches of each size an evaluation has."""
    samples = len(getattr(data.splits, split))
    steps = math.ceil(samples / batch_size)
    return Counter((step + 1) * samples // steps - step * samples // steps for step in range(steps))

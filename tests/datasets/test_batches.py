"""The order of samples: every sample once, resumable anywhere, shared fairly among processes."""

import pytest
import torch

from paribus.datasets.batches import BatchPlan
from paribus.datasets.seeds import mix
from paribus.run.data import equally_many


def test_streams_of_neighbouring_seeds_have_nothing_in_common():
    assert len({mix(seed, *path) for seed in range(50) for path in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]}) == 300
    assert mix(3, 1, 4) == mix(3, 1, 4)
    assert 0 <= mix(2**70, 1) < 2**63


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("samples", "size"), [(10, 3), (12, 4), (7, 7), (5, 1)])
def test_an_epoch_has_every_sample_once(samples, size, drop_last):
    plan = BatchPlan(samples, size, seed=0, drop_last=drop_last)
    batches = list(plan.epoch(0))
    seen = torch.cat(batches).tolist()
    assert len(seen) == len(set(seen)) == plan.samples_in(0) == (samples - samples % size if drop_last else samples)
    assert len(batches) == plan.updates_in(0)
    assert {(len(batch),) for batch in batches} == plan.shares()


def test_the_order_depends_on_seed_and_epoch_alone():
    plan = BatchPlan(100, 10, seed=0)
    first = torch.cat(list(plan.epoch(0)))
    assert torch.equal(first, torch.cat(list(BatchPlan(100, 7, seed=0).epoch(0))))
    assert not torch.equal(first, torch.cat(list(plan.epoch(1))))
    assert not torch.equal(first, torch.cat(list(BatchPlan(100, 10, seed=1).epoch(0))))


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_can_be_taken_up_at_any_update(start):
    plan = BatchPlan(23, 5, seed=3)
    for found, expected in zip(plan.epoch(2, start), list(plan.epoch(2))[start:], strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("samples", "size", "world"), [(100, 10, 2), (101, 10, 2), (103, 8, 4), (24, 24, 3)])
def test_processes_share_every_batch_and_see_every_sample_once(samples, size, world):
    plans = [BatchPlan(samples, size, seed=1, rank=rank, world_size=world) for rank in range(world)]
    shares = [list(plan.epoch(0)) for plan in plans]
    assert len({len(share) for share in shares}) == 1
    whole = list(BatchPlan(samples, size, seed=1).epoch(0))
    for number, parts in enumerate(zip(*shares, strict=True)):
        joined = torch.cat(parts)
        assert set(joined.tolist()) == set(whole[number].tolist())
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    tail = samples % size
    assert sum(len(batch) for share in shares for batch in share) == samples - (tail if tail < world else 0)
    for plan in plans:
        assert {tuple(map(len, parts)) for parts in zip(*shares, strict=True)} == plan.shares()


def test_a_growing_batch():
    plan = BatchPlan(20, lambda epoch: 2 if epoch < 2 else 10, seed=0)
    assert [plan.updates_in(epoch) for epoch in range(4)] == [10, 10, 2, 2]


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match=r"training set of 10 samples, got 11.*batch_size=full"):
        BatchPlan(10, 11, seed=0)
    with pytest.raises(ValueError, match=r"9 or 12"):
        BatchPlan(100, 10, seed=0, world_size=3)


@pytest.mark.parametrize("samples", [2, 5, 6, 7, 101])
@pytest.mark.parametrize("size", [1, 2, 3, 200])
@pytest.mark.parametrize("world", [1, 2])
def test_every_process_evaluates_as_many_batches_and_every_sample_once(samples, size, world):
    found = [equally_many(samples, size, rank, world) for rank in range(world)]
    assert len({len(batches) for batches in found}) == 1
    assert sorted(number for batches in found for batch in batches for number in batch) == list(range(samples))
    for batches in found:
        assert all(len(batch) <= size for batch in batches)
        assert all(batches[:-1])  # an empty one comes last
    assert world > 1 or [list(batch) for batch in found[0]] == [
        list(range(first, min(first + size, samples))) for first in range(0, samples, size)
    ]

"""Sums of a training epoch are the same bits wherever its batches are parted: by a checkpoint, or a full memory."""

import pytest
import torch

from paribus.config.composer import Composer
from paribus.extras.stack.task import StackedTask
from paribus.run.build import build_data, build_setting
from paribus.run.metrics import Totals
from paribus.tasks.task import Task

COMPOSER = Composer()
LINES = {
    "classification": ["data=digits"],
    "regression": ["task=regression", "data=diabetes"],
    "language": ["task=language", "data=markov", "model=lstm"],
}


@pytest.fixture(params=LINES)
def task(request) -> tuple[Task, torch.Tensor]:
    """A task, and targets that are drawn from its data again and again."""
    run = COMPOSER(LINES[request.param]).run
    setting = build_setting(run)
    splits = build_data(run, setting).splits
    setting.task.prepare(splits)
    picks = torch.randint(0, len(splits.train), (403,), generator=torch.Generator().manual_seed(0))
    return setting.task, splits.train.gather(picks)[1]


def outputs_of(task: Task, y: torch.Tensor, *replicas: int) -> torch.Tensor:
    places = y.shape[1:2] if y.dtype == torch.long else ()
    shape = (*replicas, len(y), *places, task.num_outputs)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def states(made, batches, replicas=0):
    """The sums at the end, where they were asked for after every batch, every third one, and never before."""
    for every in (1, 3, len(batches)):
        totals = made()
        for number, (outputs, y) in enumerate(batches, 1):
            totals.update(outputs.square().flatten(replicas).mean(-1), outputs, y)
            if number % every == 0:
                totals.state()
        yield totals.state()


def test_of_one_network(task):
    task, y = task
    batches = list(zip(outputs_of(task, y).split(8), y.split(8), strict=True))
    once, *others = states(lambda: Totals(task), batches)
    assert all(torch.equal(once, other) for other in others)
    assert once[1:].any()


def test_of_a_stack_of_two_kinds_of_losses(task):
    task, y = task
    outputs = outputs_of(task, y, 3)
    own = y.expand(3, *y.shape)
    batches = list(zip(outputs.split(8, 1), own.split(8, 1), strict=True))
    stack = StackedTask([task] * 3, ["one", "other", "one"])
    once, *others = states(lambda: Totals(stack, replicas=(3,)), batches, 1)
    assert all(torch.equal(once, other) for other in others)
    [alone, *_] = states(lambda: Totals(task), [(z[1], target[1]) for z, target in batches])
    torch.testing.assert_close(once[2:, 1], alone[2:])

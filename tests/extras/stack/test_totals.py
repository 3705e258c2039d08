"""The sums of a stack against those of its replicas."""

import pytest
import torch

from paribus.datasets.source import Form
from paribus.extras.stack.task import StackedTask
from paribus.run.metrics import Totals
from paribus.tasks.classification.task import Classification
from paribus.techniques.augment import Identity
from paribus.techniques.losses import CrossEntropy, SquaredError

FORM = Form((1,), "vector", "class", 4)


@pytest.mark.parametrize("kinds", [(CrossEntropy,) * 3, (CrossEntropy, SquaredError, CrossEntropy)])
def test_the_totals_of_replicas_are_those_of_each(kinds):
    generator = torch.Generator().manual_seed(0)
    tasks = [Classification(FORM, kind(4), Identity()) for kind in kinds]
    stacked = StackedTask(tasks, [kind.__name__ for kind in kinds])
    together, alone = Totals(stacked, replicas=[3]), [Totals(task) for task in tasks]
    for size in (7, 5):
        outputs, y = torch.randn(3, size, 4, generator=generator), torch.randint(4, (3, size), generator=generator)
        losses = [task.loss(row, target) for task, row, target in zip(tasks, outputs, y, strict=True)]
        torch.testing.assert_close(stacked.losses(outputs, y), torch.stack(losses))
        together.update(torch.stack(losses), outputs, y)
        for totals, loss, row, target in zip(alone, losses, outputs, y, strict=True):
            totals.update(loss, row, target)
    assert torch.equal(together.state(), torch.stack([totals.state() for totals in alone], 1))
    other = Totals(stacked, replicas=[3])
    other.load(together.state())
    assert torch.equal(other.state(), together.state())


def test_the_evaluation_of_replicas_is_that_of_each():
    generator = torch.Generator().manual_seed(0)
    tasks = [Classification(FORM, kind(4), Identity()) for kind in (CrossEntropy, SquaredError, CrossEntropy)]
    outputs, y = torch.randn(3, 9, 4, generator=generator), torch.randint(4, (9,), generator=generator)
    found = StackedTask(tasks, ["a", "b", "a"]).evaluation_sums(outputs, y, torch.float64)
    alone = [task.evaluation_sums(row[None], y, torch.float64)[0] for task, row in zip(tasks, outputs, strict=True)]
    torch.testing.assert_close(found, torch.stack(alone))

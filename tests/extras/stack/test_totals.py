"""The sums of a stack against those of its replicas."""

import torch

from paribus.extras.stack.evaluation import StackedLoss
from paribus.run.metrics import Totals
from paribus.techniques.losses import CrossEntropy


def test_the_totals_of_replicas_are_those_of_each():
    generator = torch.Generator().manual_seed(0)
    together, alone = Totals(replicas=[3]), [Totals() for _ in range(3)]
    for size in (7, 5):
        outputs, y = torch.randn(3, size, 4, generator=generator), torch.randint(4, (3, size), generator=generator)
        losses = [CrossEntropy(4)(row, target) for row, target in zip(outputs, y, strict=True)]
        together.update(torch.stack(losses), outputs, y, StackedLoss([CrossEntropy(4)] * 3, ["loss"] * 3))
        for totals, loss, row, target in zip(alone, losses, outputs, y, strict=True):
            totals.update(loss, row, target, CrossEntropy(4))
    assert torch.equal(together.state(), torch.stack([totals.state() for totals in alone], 1))
    other = Totals(replicas=[3])
    other.load(together.state())
    assert torch.equal(other.state(), together.state())

"""Functions that a stack has a form of its own for: each replica gets what its network alone would."""

import copy

import pytest
import torch
from torch import nn

from paribus.extras.stack.network import StackedNetwork
from paribus.techniques.norms.batch_norm import BatchNorm

REPLICAS = 3


def networks(*layers):
    torch.manual_seed(0)
    made = [nn.Sequential(*copy.deepcopy(layers)).double() for _ in range(REPLICAS)]
    for p in (p for network in made for p in network.parameters()):
        nn.init.normal_(p)
    return made


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("layout", "shape"), [("vector", (6, 5)), ("tokens", (3, 4, 5))])
def test_batch_norm(layout, shape, affine):
    """Outputs, gradients of inputs and parameters, and moving statistics, far from zero mean; then evaluation."""
    alone = networks(BatchNorm(5, layout, affine=affine), nn.Linear(5, 5), BatchNorm(5, layout, affine=affine))
    stack = StackedNetwork([copy.deepcopy(network) for network in alone])
    x = (100 + torch.randn(REPLICAS, *shape, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(REPLICAS, *shape, dtype=torch.float64)
    for _ in range(2):
        outputs = stack(x)
        wanted = torch.stack([network(row) for network, row in zip(alone, x, strict=True)])
        torch.testing.assert_close(outputs, wanted)
    own = dict(stack.trained())
    found = torch.autograd.grad((outputs * weights).sum(), [x, *own.values()])
    (of_x,) = torch.autograd.grad((wanted * weights).sum(), x, retain_graph=True)
    torch.testing.assert_close(found[0], of_x)
    (wanted * weights).sum().backward()
    for name, grad in zip(own, found[1:], strict=True):
        theirs = torch.stack([dict(network.named_parameters())[name].grad for network in alone])
        torch.testing.assert_close(grad, theirs)
    for k, network in enumerate(alone):
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(dict(stack.replicas[k].named_buffers())[name], buffer)
        network.eval()
    stack.program.eval()
    wanted = torch.stack([network(row) for network, row in zip(alone, x, strict=True)])
    torch.testing.assert_close(stack(x), wanted)

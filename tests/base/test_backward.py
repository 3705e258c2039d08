"""The short way to a backward pass is the usual one, bit for bit."""

import pytest
import torch
from torch import nn

from paribus.base.torch_internals import backward


def gradients(how):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3))
    unused = nn.Parameter(torch.zeros(2))
    called = []
    network[0].weight.register_hook(lambda grad: called.append(1))
    x, y = torch.randn(9, 5), torch.randint(3, (9,))
    for _ in range(2):  # gradients add up
        how(nn.functional.cross_entropy(network(x), y))
    assert called == [1, 1]
    assert unused.grad is None
    return [p.grad for p in network.parameters()]


def test_gradients_are_those_of_the_method():
    for one, other in zip(gradients(backward), gradients(torch.Tensor.backward), strict=True):
        assert torch.equal(one, other)


def test_nothing_is_kept_of_the_graph():
    x = torch.ones(3, requires_grad=True)
    loss = (x * x).sum()
    backward(loss)
    with pytest.raises(RuntimeError, match="second time"):
        backward(loss)

"""Networks whose forward pass gives more than a tensor: their logits, with the names and the class that they had."""

import copy
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from paribus.adapters.outputs import with_tensors


class Logits(nn.Module):
    kind = SimpleNamespace

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, pixel_values, labels=None):
        return self.kind(loss=None, logits=self.head(pixel_values))


class InAMapping(Logits):
    kind = OrderedDict


class InATuple(Logits):
    def forward(self, x):
        return self.head(x), x


@pytest.mark.parametrize("cls", [Logits, InAMapping])
def test_a_network_gives_its_logits_and_is_the_one_it_was(cls):
    network = with_tensors(cls())
    x = torch.randn(4, 3)
    assert torch.equal(network(x), network.head(x))
    assert isinstance(network, cls)
    assert [*network.state_dict()] == ["head.weight", "head.bias"]
    assert type(copy.deepcopy(network)) is type(network) is type(with_tensors(cls()))
    stacked = {name: torch.stack([value, value]) for name, value in network.state_dict().items()}
    found = torch.func.vmap(lambda state: torch.func.functional_call(network, state, (x,)))(stacked)
    torch.testing.assert_close(found[1], network(x))


def test_anything_else_is_named():
    with pytest.raises(TypeError, match=r"a tensor `logits`, and that of InATuple gave tuple\."):
        with_tensors(InATuple())(torch.randn(4, 3))


def test_a_network_of_torch_stays_as_it_is():
    assert type(with_tensors(nn.Linear(3, 2))) is nn.Linear

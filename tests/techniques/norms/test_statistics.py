"""The statistics with which batch norm evaluates."""

import pytest
import torch
from torch import nn

from paribus.techniques.norms.batch_norm import BatchNorm, BatchRenorm
from paribus.techniques.norms.parametrize import spectral_norm
from paribus.techniques.norms.statistics import (
    buffer_versions,
    recomputed_statistics,
    running_norms,
    statistics_of_the_batch,
    unknown_statistics,
)


def network():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), BatchNorm(4, "vector"))
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(16, 3))
    return net.eval()


def state(net):
    return {key: value.clone() for key, value in net.state_dict().items()}


def test_statistics_of_the_batch_are_those_of_training_and_leave_no_trace():
    net, x = network(), torch.randn(8, 3)
    before = state(net)
    hidden = net[0](x)
    with statistics_of_the_batch(net):
        found = net(x)
    expected = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(found, expected)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not net[1].training
    assert net[1].momentum == 0.1
    assert not torch.allclose(net(x), found)


def test_recomputed_statistics_are_means_over_batches_and_leave_no_trace():
    net = network()
    batches = [torch.randn(8, 3) for _ in range(4)]
    before = state(net)
    with recomputed_statistics(net, batches):
        hidden = [net[0](x) for x in batches]
        torch.testing.assert_close(net[1].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0))
        torch.testing.assert_close(net[1].running_var, torch.stack([h.var(0) for h in hidden]).mean(0))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


class Mine(nn.BatchNorm2d):
    """Of somebody else, with torch's forward pass."""


class Own(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x) * 2


class Whitening(nn.Module):
    """Statistics of its own, under names of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mu", torch.zeros(3))

    def forward(self, x):
        if self.training:
            self.mu.lerp_(x.detach().mean((0, 2, 3)), 0.1)
        return x - self.mu[:, None, None]


KNOWN = {
    "batch": lambda: nn.BatchNorm2d(3),
    "cumulative": lambda: nn.BatchNorm2d(3, momentum=None),
    "sync": lambda: nn.SyncBatchNorm(3),
    "instance": lambda: nn.InstanceNorm2d(3, track_running_stats=True),
    "mine": lambda: Mine(3),
    "ours": lambda: BatchNorm(3, "map"),
    "renorm": lambda: BatchRenorm(3, "map"),
}


def with_norm(name):
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 1), KNOWN[name](), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 2))
    frozen = nn.BatchNorm1d(2).eval()
    net.append(frozen)
    with torch.no_grad():
        for _ in range(3):
            net[:3](torch.randn(16, 2, 4, 4, generator=generator))
    return net


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("training", [True, False])
def test_the_statistics_of_every_norm_of_torch_are_recomputed_and_leave_no_trace(name, training):
    net = with_norm(name)
    net.train(training)
    net[-1].training = not training
    modes, before, momentum = [m.training for m in net.modules()], state(net), net[1].momentum
    batches = [torch.randn(8, 2, 4, 4) for _ in range(4)]
    with recomputed_statistics(net, batches):
        hidden = [net[0](x) for x in batches]
        mean = torch.stack([h.mean((0, 2, 3)) for h in hidden]).mean(0)
        torch.testing.assert_close(net[1].running_mean, mean)
        if name == "instance":
            var = torch.stack([h.var((2, 3)).mean(0) for h in hidden]).mean(0)
        else:
            var = torch.stack([h.transpose(0, 1).flatten(1).var(1) for h in hidden]).mean(0)
        torch.testing.assert_close(net[1].running_var, var)
        assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net[1].momentum == momentum


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in ("instance", "renorm")])
def test_every_norm_of_torch_normalises_with_the_batch_and_leaves_no_trace(name):
    net, x = with_norm(name).eval(), torch.randn(8, 2, 4, 4)
    before, hidden = state(net), net[0](x)
    with statistics_of_the_batch(net):
        found = net[1](hidden)
    mean, var = hidden.mean((0, 2, 3), keepdim=True), hidden.var((0, 2, 3), unbiased=False, keepdim=True)
    torch.testing.assert_close(found, (hidden - mean) / (var + 1e-5).sqrt())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_other_statistics_are_named():
    net = nn.Sequential(nn.Conv2d(2, 3, 1), Own(3), Whitening(), Mine(3), nn.BatchNorm2d(3, track_running_stats=False))
    spectral_norm(nn.Sequential(net[0]))
    net.register_buffer("scale", torch.ones(1))
    versions = list(buffer_versions(net).values())
    assert unknown_statistics(net) == ["1 (Own)"]
    net(torch.randn(4, 2, 5, 5))
    assert unknown_statistics(net, versions) == ["1 (Own)", "2 (Whitening)"]
    assert [type(module) for module in running_norms(net)] == [Mine]

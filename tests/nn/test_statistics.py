"""Which statistics batch norm evaluates with."""

import torch

from paribus.nn.batch_norm import BatchNorm
from paribus.nn.statistics import recomputed_statistics, statistics_of_the_batch


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

"""Parameter groups, options as YAML gives them, and evaluation weights."""

from functools import partial

import pytest
import torch
from schedulefree import SGDScheduleFree
from torch import nn

from paribus.techniques.optimizers.build import build_optimizer, evaluation_weights


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3))


def shapes(optimizer):
    return [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in optimizer.param_groups]


def test_decay_is_kept_off_vectors():
    optimizer = build_optimizer(partial(torch.optim.SGD, lr=0.1, weight_decay=0.5), network())
    assert shapes(optimizer) == [(0.5, [(4, 1, 3, 3), (3, 36)]), (0.0, [(4,), (4,), (4,), (3,)])]


def test_decay_of_all_is_one_group():
    optimizer = build_optimizer(partial(torch.optim.SGD, lr=0.1, weight_decay=0.5), network(), decay="all")
    assert [decay for decay, _ in shapes(optimizer)] == [0.5]
    assert len(optimizer.param_groups[0]["params"]) == 6


def test_frozen_parameters_and_empty_groups_are_left_out():
    net = network()
    for p in net[0].parameters():
        p.requires_grad_(False)
    assert shapes(build_optimizer(partial(torch.optim.SGD, lr=0.1), net)) == [
        (0.0, [(4,), (4,), (3,)]),
        (0, [(3, 36)]),
    ]
    assert len(build_optimizer(partial(torch.optim.SGD, lr=0.1), nn.Linear(2, 2, bias=False)).param_groups) == 1


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ValueError, match="needs trainable parameters"):
        build_optimizer(partial(torch.optim.SGD, lr=0.1), nn.ReLU())


def test_a_plain_class_will_do():
    assert build_optimizer(torch.optim.Adam, network()).param_groups[0]["lr"] == 0.001


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam])
def test_whole_numbers_will_do(optimizer):
    built = build_optimizer(partial(optimizer, lr=1, weight_decay=0, betas=[0, 0.999]), network())
    assert built.param_groups[0]["betas"] == (0.0, 0.999)
    assert isinstance(built.param_groups[0]["betas"][0], float)
    for p in built.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    built.step()


def test_a_list_that_is_not_of_betas_keeps_its_items():
    built = build_optimizer(partial(torch.optim.Adafactor, eps=[None, 0.001]), network())
    assert built.param_groups[0]["eps"] == (None, 0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": "1e-3"}, r"lr of Adam must be a number, got the text '1e-3'. Write 0.001"),
        ({"lr": None}, "lr of Adam must be a number, got None"),
        ({"weight_decay": True}, "weight_decay of Adam must be a number, got True"),
        ({"betas": ["a", 0.9]}, r"betas of Adam must be numbers, got \['a', 0.9\]"),
        ({"lr": -1.0}, r"Adam refuses its options: .*-1.0.*lr=-1.0"),
        ({"betas": [1, 0.9]}, r"Adam refuses its options: .*betas=\[1, 0.9\]"),
        ({"nonsense": 1}, r"Adam refuses its options: .*nonsense"),
    ],
)
def test_what_an_optimizer_cannot_take_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_optimizer(partial(torch.optim.Adam, **options), network())


def test_fused_is_dropped_where_it_cannot_be():
    assert build_optimizer(partial(torch.optim.Adam, fused=True), network()).param_groups[0]["fused"] is True
    with torch.device("meta"):
        assert not build_optimizer(partial(torch.optim.Adam, fused=True), network()).param_groups[0]["fused"]
    for option in ("foreach", "differentiable"):
        built = build_optimizer(partial(torch.optim.Adam, fused=True, **{option: True}), network())
        assert not built.param_groups[0]["fused"]
        assert built.param_groups[0][option] is True


def schedule_free(updates=5):
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = build_optimizer(partial(SGDScheduleFree, lr=0.3, momentum=0.9), net)
    x = torch.randn(8, 3)
    zs = []
    for _ in range(updates):
        optimizer.zero_grad()
        (net(x) ** 2).mean().backward()
        optimizer.step()
        zs.append(optimizer.state[net.weight]["z"].clone())
    return net, optimizer, torch.stack(zs)


def test_a_schedule_free_optimizer_is_evaluated_with_the_average_of_its_sequence():
    net, optimizer, zs = schedule_free()
    with evaluation_weights(optimizer):
        torch.testing.assert_close(net.weight.detach(), zs.mean(0), rtol=0, atol=1e-6)


def test_the_training_weights_come_back_bit_for_bit_even_after_an_error_and_from_a_nested_context():
    net, optimizer, _ = schedule_free()
    before = net.weight.detach().clone()
    with evaluation_weights(optimizer):
        outer = net.weight.detach().clone()
        with evaluation_weights(optimizer):
            assert torch.equal(net.weight, outer)
        assert torch.equal(net.weight, outer)
        assert not optimizer.param_groups[0]["train_mode"]
    assert torch.equal(net.weight, before)
    with pytest.raises(RuntimeError, match="stop"), evaluation_weights(optimizer):
        raise RuntimeError("stop")
    assert torch.equal(net.weight, before)
    assert optimizer.param_groups[0]["train_mode"]


def test_any_other_optimizer_is_left_alone():
    net = nn.Linear(3, 2)
    before = net.weight
    with evaluation_weights(torch.optim.SGD(net.parameters(), lr=0.1)):
        assert net.weight is before

"""Steps straight to the kernels are the optimizers' own, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from paribus.techniques.optimizers.fused import FusedStep

OPTIONS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2, "dampening": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    (Adam, {"lr": 0.01, "weight_decay": 1e-2}),
    (Adam, {"lr": 0.01, "amsgrad": True, "maximize": True}),
    (AdamW, {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95)}),
]


def parameters(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((5, 3), (3,), (2, 3, 3))]


def built(make: type[Optimizer], own: list[nn.Parameter], options: dict[str, Any]) -> Optimizer:
    groups = [{"params": own[:1]}, {"params": own[1:], "weight_decay": 0.0}]
    return make(groups, **options)


def give_gradients(own: list[nn.Parameter], step: int, missing: int = -1) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    for number, p in enumerate(own):
        grad: Tensor = torch.randn(p.shape, generator=generator)
        p.grad = None if number == missing else grad


def both(
    make: type[Optimizer],
    options: dict[str, Any],
    between: Callable[[Optimizer, int], None],
    missing: int | None = None,
) -> FusedStep:
    """Twelve steps by each; the weights must be equal, and the states."""
    ours, theirs = parameters(0), parameters(0)
    fused, plain = built(make, ours, options), built(make, theirs, options)
    step = FusedStep(fused)
    for number in range(12):
        for own, optimizer in ((ours, fused), (theirs, plain)):
            give_gradients(own, number, missing=missing if number == 7 else -1)
            between(optimizer, number)
        step()
        plain.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
        for key, value in plain.state[b].items():
            assert (value is None and fused.state[a][key] is None) or torch.equal(fused.state[a][key], value)
    return step


def rates(optimizer: Optimizer, number: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = 0.1 / (1 + number)


def reload(optimizer: Optimizer, number: int) -> None:
    if number == 5:
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


@pytest.mark.parametrize("zero_at", [(0, 1), (3, 4, 5), (2, 4)])
def test_momentum_may_come_to_zero_and_back(zero_at):
    """scheduler.high_momentum=0, or a cycle that begins there."""

    def cycle(optimizer: Optimizer, number: int) -> None:
        for group in optimizer.param_groups:
            group["momentum"] = 0.0 if number in zero_at else 0.9

    both(SGD, {"lr": 0.1, "momentum": 0.0 if 0 in zero_at else 0.9, "fused": True}, cycle)


@pytest.mark.parametrize(("make", "options"), OPTIONS)
@pytest.mark.parametrize("between", [rates, reload])
def test_fused_steps_are_those_of_the_optimizer(make, options, between):
    step = both(make, {**options, "fused": True}, between)
    assert step._state is step.optimizer.state, "the kernels were never called"


@pytest.mark.parametrize(("make", "options"), OPTIONS)
def test_a_parameter_without_gradient_is_left_alone(make, options):
    both(make, {**options, "fused": True}, rates, missing=1)


@pytest.mark.parametrize(("make", "options"), [(SGD, {"lr": 0.1, "momentum": 0.9}), (RMSprop, {"lr": 0.01})])
def test_optimizers_that_are_not_fused_take_their_own_step(make, options):
    step = both(make, options, rates)
    assert step._state is None


def test_hooks_of_an_optimizer_are_called_in_every_step():
    own, called = parameters(0), []
    optimizer = built(SGD, own, {"lr": 0.1, "momentum": 0.9, "fused": True})
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    step = FusedStep(optimizer)
    for number in range(3):
        give_gradients(own, number)
        step()
    assert len(called) == 3


def test_the_kernels_are_called_and_step_is_not(monkeypatch):
    own = parameters(0)
    step = FusedStep(built(SGD, own, {"lr": 0.1, "momentum": 0.9, "fused": True}))
    give_gradients(own, 0)
    step()
    monkeypatch.setattr(SGD, "step", lambda self: pytest.fail("step() was called"))
    before = [p.detach().clone() for p in own]
    give_gradients(own, 1)
    step()
    assert not any(torch.equal(a, b) for a, b in zip(own, before, strict=True))

"""The lecture notes' rules against torch's."""

import math

import pytest
import torch

from paribus.techniques.optimizers.notes import AdagradRMS, RMSPropNotes

UPDATES = 100


def gradients(updates=UPDATES, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return [[torch.randn(shape, generator=generator, dtype=dtype) for shape in [(4, 3), (5,)]] for _ in range(updates)]


def parameters(dtype=torch.float64):
    return [torch.full(shape, 0.5, dtype=dtype, requires_grad=True) for shape in [(4, 3), (5,)]]


def step(optimizer, tensors, grads):
    for p, g in zip(tensors, grads, strict=True):
        p.grad = g.clone()
    optimizer.step()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_root_mean_square_is_adagrad_with_a_rate_that_grows_as_the_root_of_time(weight_decay):
    ours, theirs = parameters(), parameters()
    rms = AdagradRMS(ours, lr=0.01, eps=0.0, weight_decay=weight_decay)
    adagrad = torch.optim.Adagrad(theirs, lr=0.01, eps=0.0, weight_decay=weight_decay)
    for t, grads in enumerate(gradients(), start=1):
        adagrad.param_groups[0]["lr"] = 0.01 * math.sqrt(t)
        step(rms, ours, grads)
        step(adagrad, theirs, grads)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_rmsprop_of_the_notes_is_torchs_from_the_first_squared_gradient(weight_decay):
    ours, theirs = parameters(), parameters()
    notes = RMSPropNotes(ours, lr=0.01, alpha=0.9, weight_decay=weight_decay)
    rmsprop = torch.optim.RMSprop(theirs, lr=0.01, alpha=0.9, weight_decay=weight_decay)
    for t, grads in enumerate(gradients()):
        if t == 0:
            for p, g in zip(theirs, grads, strict=True):
                square = (g + weight_decay * p.detach()) ** 2
                rmsprop.state[p] = {"step": torch.tensor(0.0), "square_avg": square}
        step(notes, ours, grads)
        step(rmsprop, theirs, grads)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_the_first_step_of_rmsprop_is_lr_and_torchs_is_longer():
    ours, theirs = parameters(), parameters()
    [grads] = gradients(1)
    step(RMSPropNotes(ours, lr=0.01, alpha=0.99, eps=0.0), ours, grads)
    step(torch.optim.RMSprop(theirs, lr=0.01, alpha=0.99, eps=0.0), theirs, grads)
    torch.testing.assert_close((ours[0] - 0.5).abs(), torch.full_like(ours[0], 0.01))
    torch.testing.assert_close((theirs[0] - 0.5).abs(), torch.full_like(ours[0], 0.01 / math.sqrt(1 - 0.99)))


def test_a_large_gradient_after_small_ones_moves_by_lr_times_root_t_at_most():
    """The burst of the notes: the bound lr * sqrt(t) is nearly reached."""
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = AdagradRMS([p], lr=0.01)
    for _ in range(99):
        step(optimizer, [p], [torch.tensor([1e-6], dtype=torch.float64)])
    before = p.item()
    step(optimizer, [p], [torch.tensor([1.0], dtype=torch.float64)])
    moved = abs(p.item() - before)
    assert 0.999 * 0.1 < moved <= 0.1 + 1e-12


def test_a_parameter_that_joins_late_counts_from_its_own_first_gradient():
    early, late, alone = (torch.zeros(3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    together, single = AdagradRMS([early, late]), AdagradRMS([alone])
    for t, (_, grads) in enumerate(gradients(10)):
        early.grad = grads[:3].clone()
        if t >= 4:
            late.grad, alone.grad = grads[:3].clone(), grads[:3].clone()
            single.step()
        together.step()
    assert torch.equal(late, alone)
    assert not torch.equal(early, late)


@pytest.mark.parametrize("rule", [AdagradRMS, RMSPropNotes])
def test_repeats_bit_for_bit_and_leaves_the_gradients_alone(rule):
    results = []
    for _ in range(2):
        tensors = parameters(torch.float32)
        optimizer = rule(tensors, lr=0.01, weight_decay=0.1)
        for grads in gradients(20, torch.float32):
            step(optimizer, tensors, grads)
            assert all(torch.equal(p.grad, g) for p, g in zip(tensors, grads, strict=True))
        results.append(tensors)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("rule", [AdagradRMS, RMSPropNotes])
def test_a_closure_is_evaluated_with_gradients(rule):
    p = torch.ones(2, requires_grad=True)
    optimizer = rule([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 2.0
    assert torch.allclose(p, torch.full((2,), 0.9))


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (AdagradRMS, {"lr": -1.0}, "lr must be at least 0, got -1.0"),
        (AdagradRMS, {"eps": -1e-8}, "eps must be at least 0"),
        (RMSPropNotes, {"weight_decay": float("nan")}, "weight_decay must be at least 0, got nan"),
        (RMSPropNotes, {"alpha": 1.0}, r"alpha must lie in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_options_are_refused(rule, options, message):
    with pytest.raises(ValueError, match=message):
        rule(parameters(), **options)

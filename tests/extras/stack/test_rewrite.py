"""Rewritten traces compute the same, call after call, while the state changes."""

import random

import pytest
import torch
import torch.nn.functional as F

from paribus.extras.stack.rewrite import simplify, specialise
from paribus.extras.stack.trace import record

SHAPE = (3, 4)


def made(function, state, *others, returned_anew=1):
    trace = record(function, [*(tensor.clone() for tensor in state), *others])
    simplify(trace)
    specialise(trace, state, returned_anew)
    return trace.module()


def operations(module):
    return [str(node.target) for node in module.graph.nodes if node.op in ("call_function", "call_method")]


def tensor(seed, shape=SHAPE):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


STEPS = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b.square() + 1.0),
    lambda a, b: torch.relu(a),
    lambda a, b: torch.rsqrt(a.square() + 1.0),
    lambda a, b: a - b.mean(1, keepdim=True),
    lambda a, b: b.mean(0) + a,
    lambda a, b: a.contiguous().view(4, 3).view(3, 4),
    lambda a, b: a @ b.t() @ a @ a.new_ones(4, 4),
    lambda a, b: a.detach(),
    lambda a, b: a.unsqueeze(0).squeeze(0) * 2.0,
    lambda a, b: b + torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64).square(),
    lambda a, b: a.clone().mul_(b),
    lambda a, b: torch.ops.aten.threshold_backward(a, b, 0),
    lambda a, b: a.t().contiguous().t() + b,
]


def invented(seed):
    """A function of a state, which it changes, and of an input: some twenty steps on what there is so far."""
    choose = random.Random(seed)
    plan = [(choose.choice(STEPS), choose.random(), choose.random(), choose.random()) for _ in range(20)]
    returned = [choose.random() for _ in range(4)]

    def function(state, x):
        known = [state, x]
        for step, first, second, changes in plan:
            a, b = known[int(first * len(known))], known[int(second * len(known))]
            result = step(a, b)
            known.append(torch.tanh(result) if changes > 0.5 else result)
            if changes > 0.9:
                state.lerp_(known[-1], 0.5)
        return [known[-1] * 1.0, *(known[2 + int(which * (len(known) - 2))] + 0.0 for which in returned)]

    return function


@pytest.mark.parametrize("seed", range(60))
def test_invented_functions(seed):
    function, state, wanted_state = invented(seed), tensor(seed), tensor(seed)
    module = made(function, [state], tensor(0))
    for number in range(3):
        x, wanted_x = tensor(number), tensor(number)
        found, wanted = module(x), function(wanted_state, wanted_x)
        torch.testing.assert_close(found, tuple(wanted))
        torch.testing.assert_close(state, wanted_state)
        torch.testing.assert_close(x, wanted_x)


def test_views_of_the_state_are_made_once_and_see_its_changes():
    weight = tensor(0)
    module = made(lambda w, x: [x @ w.t()], [weight], tensor(1))
    assert operations(module) == ["mm"]
    weight.mul_(2.0)
    torch.testing.assert_close(module(tensor(2))[0], tensor(2) @ weight.t())


def test_constants_are_made_once():
    module = made(lambda w, x: [x * (torch.ones(4).double().cumsum(0) / 3).expand(3, 4)], [tensor(0)], tensor(1))
    assert operations(module) == ["mul"]


def test_a_constant_that_is_changed_is_made_anew():
    def function(w, x):
        total = torch.zeros(4, dtype=torch.float64)
        total.view(2, 2).add_(x.sum())
        return [total + 1.0]

    module = made(function, [tensor(0)], tensor(1))
    for number in range(2):
        torch.testing.assert_close(module(tensor(number)), tuple(function(None, tensor(number))))


def test_what_changes_from_call_to_call_is_looked_up_in_each():
    """A tensor from elsewhere that counts, and the state, each changed by an operation on itself."""
    count = torch.zeros(())

    def function(w, x):
        before = count * 10.0
        count.add_(1.0)
        w.mul_(2.0)
        return [w * before]

    weight = torch.ones(())
    module = made(function, [weight], tensor(1))
    assert [float(module(tensor(1))[0]) for _ in range(3)] == [2.0 * 10.0, 4.0 * 20.0, 8.0 * 30.0]


def test_a_method_takes_the_arguments_of_its_operation():
    """Tensor.where() takes the condition second, the operation takes it first."""
    module = made(lambda w, x: [torch.where(x > 0, w, -x)], [tensor(0)], tensor(1))
    torch.testing.assert_close(module(tensor(2))[0], torch.where(tensor(2) > 0, tensor(0), -tensor(2)))


def test_a_chain_of_elementwise_operations_takes_one_new_tensor():
    def function(w, x):
        h = x @ w
        return [torch.relu((h - h.mean(0)) * 2.0)]

    module = made(function, [tensor(0, (4, 4))], tensor(1))
    assert operations(module) == ["mm", "mean", "sub_", "mul_", "relu_"]


@pytest.mark.parametrize(
    "function",
    [
        lambda w, x: [torch.relu(x)],  # an input
        lambda w, x: [torch.relu(w)],  # the state
        lambda w, x: [torch.relu((x @ w).t())],  # a view
        lambda w, x: (lambda h: [(h * 2.0) @ h])(x @ w),  # needed later
        lambda w, x: (lambda h: [h * 2.0, h])(x @ w),  # returned
        lambda w, x: (lambda h: (lambda v: [h * 2.0, v + 1.0])(h[0]))(x @ w),  # a view of it is needed later
        lambda w, x: (lambda h: [h * torch.ones(2, 4, 4, dtype=h.dtype)])(x @ w),  # larger
        lambda w, x: [(x @ w).float() * x],  # of another type
    ],
)
def test_what_is_still_needed_is_not_written_over(function):
    weight, x = tensor(0, (4, 4)), tensor(1, (4, 4))
    module = made(function, [weight], x, returned_anew=9)
    assert not [name for name in operations(module) if name.endswith("_")]
    for number in range(2):
        x = tensor(number, (4, 4))
        torch.testing.assert_close(module(x), tuple(function(weight, x)))
        assert torch.equal(x, tensor(number, (4, 4)))


def test_results_lie_where_they_lay_before():
    def function(w, x):
        loss = F.mse_loss(x @ w, x.detach())
        products = torch.bmm(x.expand(2, 3, 4), w.expand(2, 4, 4))
        return [loss, products, products.sum((1, 2), keepdim=True).squeeze(2), None]

    weight = tensor(0, (4, 4))
    module = made(function, [weight], tensor(1))
    first, second = module(tensor(2)), module(tensor(3))
    places = [[None if result is None else result.data_ptr() for result in results] for results in (first, second)]
    assert [one == other for one, other in zip(*places, strict=True)] == [False, True, True, True]
    torch.testing.assert_close(second, tuple(function(weight, tensor(3))))

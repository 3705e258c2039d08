"""A trace does to other inputs what the function does that was recorded."""

import pytest
import torch
import torch.nn.functional as F

from paribus.extras.stack.trace import record


def inputs(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def assert_replays(function, *shapes):
    module = record(function, inputs(*shapes)).module()
    for seed in (1, 2):
        torch.testing.assert_close(module(*inputs(*shapes, seed=seed)), tuple(function(*inputs(*shapes, seed=seed))))


def test_forward_and_backward():
    def gradients(x, w):
        x, w = (tensor.detach().requires_grad_() for tensor in (x, w))
        loss = F.cross_entropy(torch.relu(x @ w), torch.tensor([0, 2, 1]))
        return loss.detach(), *torch.autograd.grad(loss, [x, w])

    assert_replays(gradients, (3, 5), (5, 4))


def test_under_vmap():
    assert_replays(lambda x, w: [torch.func.vmap(lambda x, w: (x @ w).softmax(0))(x, w)], (3, 2, 5), (3, 5, 4))


def test_operations_with_several_results():
    def function(x):
        values, indices = x.max(1)
        return values * 2, indices, x.split([1, 4], 1)[1]

    assert_replays(function, (3, 5))


def test_what_is_changed_in_place():
    """The input itself, and a constant that every call begins with anew."""

    def function(x):
        count = torch.tensor([1.0, 2.0], dtype=torch.float64)
        count.add_(x.sum())
        x.t()[0].mul_(3.0)
        return count, x

    assert_replays(function, (2, 2))


def test_tensors_from_elsewhere_are_attributes():
    weight = torch.ones(3, dtype=torch.float64)
    trace = record(lambda x: [x * weight], inputs((2, 3)))
    assert list(trace.attributes) == ["constant0"]
    weight.mul_(2.0)
    (x,) = inputs((2, 3), seed=1)
    torch.testing.assert_close(trace.module()(x), (2.0 * x,))


def test_what_there_is_not():
    assert record(lambda x: [x + 1, None], inputs((2,))).module()(torch.zeros(2))[1] is None


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: [x if x.sum() > 0 else -x], "looks at values"),
        (lambda x: [x * float(x[0])], "looks at values"),
        (lambda x: [x + torch.rand(2)], "draws random numbers"),
        (lambda x: [F.dropout(x, 0.5)], "draws random numbers"),
        (lambda x: [x + torch.from_numpy(x.numpy())], "came about unseen"),
    ],
)
def test_what_a_trace_would_repeat_is_refused(function, said):
    with pytest.raises(RuntimeError, match=said):
        record(function, inputs((2,)))

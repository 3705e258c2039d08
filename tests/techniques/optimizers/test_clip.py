"""Gradient clipping."""

import pytest
import torch

from paribus.techniques.optimizers.clip import clip_gradients


def tensors(*grads):
    out = []
    for grad in grads:
        p = torch.zeros(len(grad), requires_grad=True)
        p.grad = torch.tensor(grad)
        out.append(p)
    return out


def test_the_norm_is_that_of_all_gradients_together():
    parameters = tensors([3.0, 0.0], [4.0])
    assert clip_gradients(parameters, norm=1.0).item() == pytest.approx(5.0)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([0.8]))


def test_a_short_gradient_is_left_as_it_is():
    parameters = tensors([0.3], [0.4])
    assert clip_gradients(parameters, norm=1.0).item() == pytest.approx(0.5)
    assert parameters[0].grad.item() == pytest.approx(0.3)


def test_values_come_first():
    parameters = tensors([30.0, -0.5], [-4.0])
    norm = clip_gradients(parameters, norm=0.75, value=1.0)
    assert norm.item() == pytest.approx(1.5)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([0.5, -0.25]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([-0.5]))


def test_without_a_norm_there_is_nothing_to_return():
    parameters = tensors([30.0, -0.5])
    assert clip_gradients(parameters, value=1.0) is None
    assert parameters[0].grad.tolist() == [1.0, -0.5]
    assert clip_gradients(parameters) is None
    assert parameters[0].grad.tolist() == [1.0, -0.5]


def test_parameters_without_a_gradient_and_generators_will_do():
    parameters = [*tensors([3.0, 4.0]), torch.zeros(2, requires_grad=True)]
    assert clip_gradients((p for p in parameters), norm=1.0, value=10.0).item() == pytest.approx(5.0)
    assert parameters[1].grad is None


def test_an_infinite_norm_is_seen():
    parameters = tensors([float("inf"), 1.0])
    assert clip_gradients(parameters, norm=1.0).isinf()
    assert parameters[0].grad.isnan().any()


@pytest.mark.parametrize("limits", [{"norm": 0.0}, {"norm": -1.0}, {"value": 0.0}, {"value": float("nan")}])
def test_a_limit_that_is_not_positive_is_refused(limits):
    with pytest.raises(ValueError, match="must be positive"):
        clip_gradients(tensors([1.0]), **limits)

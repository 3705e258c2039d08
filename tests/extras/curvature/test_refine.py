"""Critical points of networks: found where there is one, and the reason where there is none."""

import functools

import pytest
import torch

from paribus.extras.curvature.analysis import Effort, analyse
from paribus.extras.curvature.objective import Function, Risk
from paribus.extras.curvature.refine import refine
from paribus.extras.curvature.space import Space
from paribus.extras.surfaces.catalogue import Rosenbrock, TwoFactors
from paribus.models.dense import MLP
from paribus.notes.checks.critical import digits
from paribus.techniques.losses import CrossEntropy, SquaredError


@functools.cache
def trained(activation, loss, decay, updates):
    """(risk, theta): an MLP of 8 units on 150 digits of 4 x 4 pixels, after some updates of full-batch descent."""
    data = digits(150)
    x, y = torch.nn.functional.avg_pool2d(data.x.double(), 2), data.y
    torch.manual_seed(3)
    network = MLP((1, 4, 4), 10, width=8, depth=1, activation=activation).double()
    number = sum(p.numel() for p in network.parameters())
    penalty = torch.full((number,), decay, dtype=torch.float64) if decay else None
    risk = Risk(network, loss(10), lambda: [(x, y)], len(y), penalty=penalty)
    theta = risk.point(network)
    for _ in range(updates):
        theta = theta - (0.3 if loss is CrossEntropy else 0.05) * risk.gradient(theta)[1]
    return risk, theta


@pytest.mark.parametrize("products", [1, 2], ids=["krylov", "whole"])
@pytest.mark.parametrize("radius", [1e-3, 0.3, 1e3])
@pytest.mark.parametrize("function", [Rosenbrock(), TwoFactors(), lambda t: 3 * t.sum()], ids=["rosen", "two", "plane"])
def test_the_step_within_a_radius_is_the_lowest_point_of_the_model(function, radius, products):
    theta = torch.tensor([0.3, -0.4], dtype=torch.float64)
    objective = Function(function)
    _, gradient = objective.gradient(theta)
    hessian = objective.hessian(theta)
    p, fall, edge = Space(objective, theta, gradient, products).lowest(radius)
    assert float(p.norm()) <= radius * (1 + 1e-9)
    assert edge == (float(p.norm()) > radius * (1 - 1e-9))
    model = float(gradient @ p + 0.5 * p @ hessian @ p)
    assert -model == pytest.approx(fall, rel=1e-9)
    if products == 2:  # nothing on a fine net of the disc lies lower
        angle, length = (torch.linspace(0, end, 500, dtype=torch.float64) for end in (6.2832, radius))
        net = length[:, None, None] * torch.stack([angle.cos(), angle.sin()], 1)
        values = net @ gradient + 0.5 * torch.einsum("abi,ij,abj->ab", net, hessian, net)
        assert model <= float(values.min()) + 1e-9 * abs(model)


def test_the_hard_case_leaves_along_the_negative_curvature():
    objective = Function(lambda t: 0.5 * (2 * t[0] ** 2 - t[1] ** 2) + t[0])
    theta = torch.zeros(2, dtype=torch.float64)
    p, _, edge = Space(objective, theta, objective.gradient(theta)[1], 10).lowest(1.0)
    assert edge
    assert float(p.norm()) == pytest.approx(1.0)
    assert float(p[0]) == pytest.approx(-1 / 3)  # (2 + 1) p0 = -1


@pytest.mark.parametrize(
    ("loss", "decay"),
    [
        pytest.param(SquaredError, 1e-3, id="mse", marks=pytest.mark.slow),
        pytest.param(CrossEntropy, 1e-3, id="cross entropy", marks=pytest.mark.slow),
    ],
)
def test_a_network_on_digits_with_weight_decay_reaches_its_critical_point(loss, decay):
    risk, theta = trained("tanh", loss, decay, 300)
    found = analyse(risk, theta, Effort(probes=0, refine_products=60))
    assert found.verdict == "minimum-like", found.reason
    assert "downhill" in found.reason
    assert found.refined.gradient_norm < 1e-12 * found.top.value
    assert found.refined.loss < risk.value(theta)
    alone = analyse(risk, theta, Effort(refine_steps=15, probes=0, refine_products=60, downhill=False))
    assert alone.refined.route == "nearest"


@pytest.mark.slow
def test_a_descent_that_is_interrupted_goes_on_and_ends_the_same():
    risk, theta = trained("tanh", SquaredError, 1e-3, 300)
    whole = refine(risk, theta, steps=14, inner=30)
    assert whole.route == "downhill"
    assert "14 steps are used up (a larger --refine continues from here); the last" in whole.reason
    part = refine(risk, theta, steps=9, inner=30)
    on = refine(risk, theta, steps=14, inner=30, known=part.as_stage())
    assert on.gradient_norms == whole.gradient_norms
    assert torch.equal(on.theta, whole.theta)


def _kinked(theta):
    """A valley with a sharp bottom, as between two halves of a relu."""
    return 2 * torch.relu(theta[0] - 0.3) + 0.5 * torch.relu(0.3 - theta[0]) + 0.05 * (theta**2).sum()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda theta: torch.exp(-theta).sum(), "its infimum lies at infinity. --decay adds the weight decay"),
        (_kinked, "a kink, as relu has"),
    ],
)
def test_where_a_function_has_no_critical_point_the_reason_says_why(function, words):
    found = analyse(Function(function), torch.tensor([0.5, 1.0], dtype=torch.float64), Effort(probes=0))
    assert found.verdict in ("not critical", "gradient-flat")
    assert words in found.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "loss", "decay", "updates", "words"),
    [
        ("tanh", CrossEntropy, 0.0, 600, "its infimum lies at infinity. --decay adds the weight decay"),
        ("relu", SquaredError, 1e-3, 600, "a kink, as relu has"),
    ],
)
def test_where_there_is_no_critical_point_the_reason_says_why(activation, loss, decay, updates, words):
    risk, theta = trained(activation, loss, decay, updates)
    found = analyse(risk, theta, Effort(probes=0, refine_products=60))
    assert found.verdict in ("not critical", "gradient-flat")
    assert words in found.reason


def test_a_function_without_a_lowest_point_is_left_at_its_flattest():
    slope = Function(lambda t: t[0] + t[1] ** 2)
    found = refine(slope, torch.tensor([0.5, 1.0], dtype=torch.float64))
    assert found.route == "nearest"
    assert "there is no minimum within reach" in found.reason
    assert found.gradient_norm == pytest.approx(1.0)

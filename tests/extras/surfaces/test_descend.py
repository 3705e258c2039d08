"""Optimizers on surfaces, compared with theory."""

import functools
import math

import numpy as np
import pytest
import torch

from paribus.extras.curvature.escape import follow
from paribus.extras.curvature.objective import Function
from paribus.extras.surfaces import catalogue
from paribus.extras.surfaces.catalogue import (
    Beale,
    ManyMinima,
    Quadratic,
    Rosenbrock,
    Saddle,
    ThreeFactors,
    TwoFactors,
    TwoWalls,
    Valley,
)
from paribus.extras.surfaces.descend import descend
from paribus.techniques.optimizers.notes import AdagradRMS, RMSPropNotes
from paribus.techniques.schedules import Constant, Cosine

SURFACES = [
    value
    for value in vars(catalogue).values()
    if isinstance(value, type) and issubclass(value, catalogue.Surface) and value is not catalogue.Surface
]


def gd(surface, lr, steps, seed=0, **options):
    return descend(surface, functools.partial(torch.optim.SGD, lr=lr, **options), Constant(), steps, seed=seed)


@pytest.mark.parametrize("kind", SURFACES)
def test_a_surface_is_smooth_at_its_start_and_rejects_a_start_of_another_size(kind):
    surface = kind()
    theta = surface.point().requires_grad_()
    assert torch.autograd.gradcheck(surface, theta)
    assert len(surface.window()) == min(len(theta), 2)
    if surface.lowest is not None:
        assert surface(theta).item() >= surface.lowest
    with pytest.raises(ValueError, match=r"coordinates.*Write surface.start="):
        kind(start=[0.0] * 7)


@pytest.mark.parametrize(
    ("surface", "minimum"),
    [
        (Valley(), (0, 0)),
        (TwoWalls(), (0, 0)),
        (Quadratic(), (0, 0)),
        (Saddle(), (0, -1)),
        (TwoFactors(), (2, 0.5)),
        (ThreeFactors(), (2, 1, 0.5)),
        (Beale(), (3, 0.5)),
        (Rosenbrock(), (1, 1)),
        (ManyMinima(), (0,)),
    ],
)
def test_the_lowest_value_is_taken_where_it_should_be(surface, minimum):
    theta = torch.tensor(minimum, dtype=torch.float64, requires_grad=True)
    value = surface(theta)
    assert value.item() == pytest.approx(surface.lowest, abs=1e-12)
    value.backward()
    assert float(theta.grad.norm()) < 1e-12


@pytest.mark.parametrize("h", [0.5, 4.0, 100.0])
def test_quadratic_thresholds(h):
    def signs(lr):
        path = gd(Quadratic(curvature=h, noise=0.0, dim=1), lr, 60)
        return np.sign(path.points[:, 0]), np.abs(path.points[:, 0])

    sign, size = signs(0.99 / h)
    assert (sign >= 0).all()
    assert (np.diff(size) <= 0).all()
    for share in (1.01, 1.99):
        sign, size = signs(share / h)
        assert (sign[1:] == -sign[:-1]).all()
        assert (np.diff(size) < 0).all()
    sign, size = signs(2.01 / h)
    assert (np.diff(size) > 0).all()
    assert gd(Quadratic(curvature=h, noise=0.0), 4.0 / h, 100).diverged


@pytest.mark.parametrize("lr", [0.1, 0.5, 1.0])
def test_the_noisy_quadratic_settles_where_theory_says(lr):
    h, s, dim = 1.5, 0.7, 2000
    path = gd(Quadratic(curvature=h, noise=s, dim=dim, start=[0.0] * dim), lr, 400)
    late = path.losses[200:] / dim
    expected = lr * s**2 / (2 * (2 - lr * h))
    assert late.mean() == pytest.approx(expected, rel=0.02)
    decayed = descend(
        Quadratic(curvature=h, noise=s, dim=dim), functools.partial(torch.optim.SGD, lr=lr), Cosine(), 400
    )
    assert decayed.losses[-1] / dim < 0.2 * expected  # decay takes the noise away


@pytest.mark.parametrize("lr", [0.05, 0.01])
def test_escape_from_the_saddle_takes_the_time_of_its_law_over_four_decades(lr):
    r = 0.1
    times = []
    for start in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        law = math.log(r / (start * math.sqrt(2))) / math.log(1 + 2 * lr)
        path = gd(TwoFactors(start=[start, start]), lr, int(2 * law) + 10)
        measured = int(np.argmax(np.linalg.norm(path.points, axis=1) >= r))
        assert abs(measured - law) <= 1 + 0.01 * law
        times.append(measured)
    # Ten times closer costs the same number of steps again.
    np.testing.assert_allclose(np.diff(times), math.log(10) / math.log(1 + 2 * lr), atol=1.5)


def test_from_the_other_side_descent_goes_to_the_saddle_and_negative_curvature_leads_away():
    path = gd(TwoFactors(start=[0.5, -0.5]), 0.05, 400)
    assert np.linalg.norm(path.points[-1]) < 1e-8
    assert path.losses[-1] == pytest.approx(1.0)
    theta = torch.from_numpy(path.points[-1])
    objective = Function(TwoFactors())
    direction = torch.full((2,), math.sqrt(0.5), dtype=torch.float64)
    away = follow(objective, theta, direction, objective.gradient(theta)[1], 0.01)
    assert objective.value(away) < 0.9
    onwards = gd(TwoFactors(start=away.tolist()), 0.05, 400)
    assert onwards.losses[-1] < 1e-12


@pytest.mark.parametrize("lr", [0.2, 0.1])
def test_root_mean_square_adagrad_bursts_when_its_theory_says(lr):
    """sigma_t = C / sqrt(t) falls while gradients are small; lr h / sigma_t passes 2 at t* = (2 C / (lr h))^2.

    From t* on a step multiplies theta by 2 sqrt(t / t*) - 1, about 1 + (t - t*) / t*, so that it is k times as large
    after another sqrt(2 t* ln k) steps.
    """
    h = 1.0
    surface = Quadratic(curvature=h, noise=1e-8, dim=1, start=[1.0])
    path = descend(surface, functools.partial(AdagradRMS, lr=lr, eps=0.0), Constant(), round(3 / lr**3))
    size = np.abs(path.points[:, 0])
    t = np.arange(1, len(size) + 1)
    predicted = (2 * np.sqrt(np.cumsum((h * size) ** 2)) / (lr * h)) ** 2  # t* from the gradients so far
    due = int(t[t > predicted][0])
    calm = float(np.median(size[due // 4 : due // 2]))
    assert size[due // 4 : due].max() < 100 * calm
    burst = due + int(np.argmax(size[due:] > 1000 * calm))
    assert due < burst < due + 1.3 * math.sqrt(2 * due * math.log(1000))
    summed = descend(surface, functools.partial(torch.optim.Adagrad, lr=lr, eps=0.0), Constant(), 2 * due)
    assert np.abs(summed.points[due:, 0]).max() < 10 * calm  # the root of the sum can't burst


def test_rmsprop_bursts_too():
    surface = Quadratic(curvature=1.0, noise=0.0, dim=1, start=[1.0])
    path = descend(surface, functools.partial(RMSPropNotes, lr=0.05, alpha=0.9, eps=0.0), Constant(), 2000)
    size = np.abs(path.points[:, 0])
    calmest = int(np.argmin(size[:1000]))
    assert size[calmest:].max() > 100 * size[calmest]


def test_between_two_walls_a_large_rate_neither_diverges_nor_descends():
    swinging = gd(TwoWalls(), 0.4, 500)
    across = swinging.points[100:, 0]
    assert (np.sign(across[1:]) == -np.sign(across[:-1])).all()
    assert np.abs(across).mean() == pytest.approx(0.4 * TwoWalls().wall / 2, rel=0.2)
    # The same rate decayed to nothing comes to rest on the floor that it could not reach before.
    decayed = descend(TwoWalls(), functools.partial(torch.optim.SGD, lr=0.4), Cosine(), 500)
    assert decayed.losses[-1] < 0.05 * swinging.losses[-1]


def test_adagrad_does_not_see_the_scale_of_a_coordinate():
    paths = [
        descend(
            Valley(curvature=100.0, condition=condition, start=[1.0, 1.0]),
            functools.partial(torch.optim.Adagrad, lr=0.3, eps=0.0),
            Constant(),
            50,
        ).points
        for condition in (1.0, 1e4)
    ]
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-9)


def test_steps_and_a_diverged_descent():
    path = gd(Valley(curvature=1.0, condition=1.0), 0.5, 50)
    assert path.steps_to(path.losses[0]) == 0
    assert path.steps_to(-1.0) is None
    assert path.losses[path.steps_to(1e-6)] <= 1e-6 < path.losses[path.steps_to(1e-6) - 1]
    assert path.settled(1e-6) == path.steps_to(1e-6)
    assert path.settled(0.0) is None
    diverged = gd(Valley(curvature=100.0), 1.0, 1000)
    assert diverged.diverged
    assert len(diverged.points) == len(diverged.rates) + 1 < 1000

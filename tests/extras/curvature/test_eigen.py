import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from paribus.datasets.synthetic import Synthetic
from paribus.extras.curvature.analysis import Effort, analyse
from paribus.extras.curvature.density import spectral_density
from paribus.extras.curvature.eigen import extreme, noise_floor, random_unit
from paribus.extras.curvature.krylov import lanczos
from paribus.extras.curvature.objective import Function, Risk
from paribus.models.dense import MLP
from paribus.models.resnet import ResNet
from paribus.techniques.losses import CrossEntropy
from paribus.techniques.norms.norm import batch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def matrix(n, spectrum=None):
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator(1), dtype=torch.float64))
    values = torch.randn(n, generator=generator(2), dtype=torch.float64) if spectrum is None else spectrum
    return q @ torch.diag(values) @ q.T


@pytest.mark.parametrize("n", [4, 30, 200])
@pytest.mark.parametrize("end", ["top", "bottom"])
def test_ends_of_a_matrix_with_counted_products_and_an_honest_error(n, end):
    a = matrix(n)
    calls = []
    found = extreme(lambda v: calls.append(0) or a @ v, random_unit(n, generator()), end, tolerance=1e-9, products=300)
    exact = torch.linalg.eigvalsh(a)[-1 if end == "top" else 0]
    assert found.converged
    assert found.products == len(calls) <= 300
    assert found.value == pytest.approx(float(exact), rel=1e-8)
    assert float((a @ found.vector - found.value * found.vector).norm()) == pytest.approx(found.residual, abs=1e-12)


@pytest.mark.parametrize("products", [6, 20, 50])
def test_a_budget_is_kept_and_the_residual_bounds_the_distance_to_an_eigenvalue(products):
    n = 400
    a = matrix(n, torch.linspace(-1, 1, n, dtype=torch.float64))
    found = extreme(lambda v: a @ v, random_unit(n, generator()), "bottom", tolerance=1e-12, products=products)
    assert found.products <= products
    assert not found.converged
    assert float((torch.linalg.eigvalsh(a) - found.value).abs().min()) <= found.residual + 1e-12
    assert found.value >= -1 - 1e-12  # a Ritz value lies within the spectrum
    with pytest.raises(ValueError, match="at least 5 products"):
        extreme(lambda v: a @ v, random_unit(n, generator()), "top", products=3)


def test_the_noise_floor_is_the_norm_of_what_disturbs_the_products():
    n, sigma = 400, 1e-7
    error = sigma * torch.randn(n, n, generator=generator(5), dtype=torch.float64)
    a = matrix(n) + error
    floor = noise_floor(lambda v: a @ v, n, generator(), pairs=20)
    assert floor == pytest.approx(float(torch.linalg.matrix_norm(error, 2)), rel=0.5)
    assert noise_floor(lambda v: matrix(n) @ v, n, generator()) < 1e-13


def test_the_moments_of_the_density_are_those_of_each_probe_exactly():
    n, steps = 60, 4
    a = matrix(n)
    density = spectral_density(lambda v: a @ v, n, probes=3, steps=steps, generator=generator(3))
    again = generator(3)
    for probe in range(3):
        v = (torch.randint(0, 2, (n,), generator=again) * 2 - 1).double() / n**0.5
        power = v
        for k in range(2 * steps):  # Gauss quadrature is exact up to degree 2 m - 1
            moment = float((density.weights[probe] * density.nodes[probe] ** k).sum())
            assert moment == pytest.approx(float(v @ power), rel=1e-9, abs=1e-12), k
            power = a @ power


def test_mass_mean_second_moment_and_shares_are_those_of_the_spectrum():
    n = 500
    values = torch.cat([torch.linspace(-1, -0.5, 100), torch.zeros(300), torch.linspace(1, 3, 100)]).double()
    a = matrix(n, values)
    density = spectral_density(lambda v: a @ v, n, probes=20, steps=40, generator=generator())
    assert density.moment(0)[0] == pytest.approx(1.0, abs=1e-12)
    for power in (1, 2, 3):
        estimate, error = density.moment(power)
        assert 0 < error < 0.1
        assert abs(estimate - float((values**power).mean())) < 4 * error
    for x, exact in ((-0.75, 0.1), (-1e-6, 0.2), (1e-6, 0.8), (2.0, 0.9)):
        low, high, error = density.below(x)
        assert low - 4 * error <= exact <= high + 4 * error
        assert high - low < 0.05 or abs(x) < 1e-3  # a cluster at zero is on neither side
    grid = np.linspace(-3, 5, 2001)
    assert trapezoid(density.smooth(grid, 0.1), grid) == pytest.approx(1.0, abs=1e-6)


def test_lanczos_ends_where_the_krylov_space_does():
    a = torch.diag(torch.tensor([1.0, 2.0, 2.0, 2.0], dtype=torch.float64))
    alpha, beta, basis = lanczos(lambda v: a @ v, torch.full((4,), 0.5, dtype=torch.float64), 4)
    assert (len(alpha), len(basis), beta[-1]) == (2, 2, 0.0)
    v = torch.stack(basis, 1)
    torch.testing.assert_close(
        v.T @ a @ v, torch.diag(torch.tensor(alpha)) + torch.tensor([[0, beta[0]], [beta[0], 0]])
    )


@pytest.mark.slow
def test_lanczos_agrees_with_the_dense_hessian_of_a_network_of_3000_parameters():
    network = MLP((1, 8, 8), 10, None, width=29, depth=2, activation="tanh")
    x = torch.randn(200, 1, 8, 8, generator=generator())
    y = torch.randint(0, 10, (200,), generator=generator())
    risk = Risk(network, CrossEntropy(10), lambda: [(x, y)], 200)
    theta = risk.point(network)
    assert len(theta) == pytest.approx(3000, abs=100)
    exact = torch.linalg.eigvalsh(risk.hessian(theta))
    for end, value in (("top", exact[-1]), ("bottom", exact[0])):
        found = extreme(lambda v: risk.product(theta, v), random_unit(len(theta), generator()), end, products=600)
        assert found.converged
        assert abs(found.value / float(value) - 1) < 1e-6
        assert found.products < 600


@pytest.mark.slow
def test_without_a_dense_hessian_the_verdicts_are_the_same_and_undetermined_where_products_do_not_suffice():
    values = torch.cat([torch.tensor([-0.01]), torch.linspace(0.5, 2, 99)]).double()
    saddle = Function(lambda t: 0.5 * (values * t.square()).sum())
    start = torch.full((100,), 0.1, dtype=torch.float64)
    sparse = Effort(dense_up_to=10, end_products=300, probes=20)
    found = analyse(saddle, start, sparse)
    assert found.verdict == "strict saddle"
    assert found.bottom.value == pytest.approx(-0.01, abs=1e-8)
    assert found.confirmation.confirmed
    low, high, error = found.shares()["index"]
    assert low - 4 * error <= 0.01 <= high + 4 * error + 1e-12
    bowl = Function(lambda t: 0.5 * (values.abs() * t.square()).sum())
    assert analyse(bowl, start, sparse).verdict == "minimum-like"
    hurried = analyse(bowl, start, Effort(dense_up_to=10, end_products=8, probes=0))
    assert hurried.verdict == "undetermined"
    assert "more products" in hurried.reason


@pytest.mark.slow
def test_a_resnet20_gives_both_ends_within_50_products_each():
    source = Synthetic(num_train=10, num_test=10)  # of the shape of CIFAR
    raw = source.load()
    x, y = raw.train_x / 3, raw.train_y
    network = ResNet(source.shape, 10, batch)
    network(x)  # statistics of its own
    risk = Risk(network, CrossEntropy(10), lambda: zip(x.split(5), y.split(5), strict=True), len(x))
    theta = risk.point(network)
    assert len(theta) > 200_000
    ends = []
    for end in ("top", "bottom"):
        before = risk.products
        found = extreme(lambda v: risk.product(theta, v), random_unit(len(theta), generator()), end, products=50)
        assert found.products == risk.products - before <= 50
        assert 0 < found.error < 0.05 * abs(found.value)
        quotient = float(found.vector @ risk.product(theta, found.vector))
        assert quotient == pytest.approx(found.value, rel=1e-9)
        ends.append(found)
    assert ends[0].value > 0 > ends[1].value

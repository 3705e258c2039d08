"""Points whose whole spectrum is known in closed form."""

import itertools
import math

import numpy as np
import pytest
import torch

from paribus.extras.curvature.analysis import Effort, analyse
from paribus.extras.curvature.objective import Function
from paribus.extras.surfaces.catalogue import MonkeySaddle, Saddle, ThreeFactors, TwoFactors


def analysed(function, *point, **effort):
    return analyse(Function(function), torch.tensor(point, dtype=torch.float64), Effort(**effort))


@pytest.mark.parametrize(
    ("function", "near", "eigenvalues", "verdict"),
    [
        (TwoFactors(), (1e-3, -2e-3), [-2, 2], "strict saddle"),
        (TwoFactors(), (1.01, 0.98), None, "minimum-like"),
        (TwoFactors(), (1.0, 1.0), [0, 4], "minimum-like"),
        (ThreeFactors(), (1.0, 1.0, 1.0), [0, 0, 6], "minimum-like"),
        (ThreeFactors(), (0.0, 0.0, 0.0), [0, 0, 0], "undetermined"),
        (MonkeySaddle(), (0.0, 0.0), [0, 0], "undetermined"),
        (Saddle(), (0.1, 0.05), [-1, 1], "strict saddle"),
        (Saddle(), (0.1, 0.9), [1, 2], "minimum-like"),
        (lambda t: -(t**2).sum(), (0.1, 0.2), [-2, -2], "strict saddle"),
    ],
)
def test_small_surfaces(function, near, eigenvalues, verdict):
    found = analysed(function, *near)
    assert found.verdict == verdict, found.reason
    if eigenvalues is not None:
        np.testing.assert_allclose(found.eigenvalues, eigenvalues, atol=1e-9)
    assert found.counts.positive + found.counts.zero + found.counts.negative == len(near)


def test_counts_index_and_minimum_ratio():
    found = analysed(TwoFactors(), 0.0, 0.0)
    assert (found.counts.positive, found.counts.zero, found.counts.negative) == (1, 0, 1)
    assert (found.counts.index, found.counts.minimum_ratio) == (0.5, 0.5)
    assert analysed(TwoFactors(), 1.0, 1.0).counts.minimum_ratio == 0.5  # one zero, which does not count as positive


def test_what_is_no_critical_point_is_not_called_one():
    far = analysed(TwoFactors(), 0.3, 0.9, refine_steps=0)
    assert far.verdict == "not critical"
    # ||g||^2 of x + x^3 is lowest at x = 0, where g = 1: minimising it finds no critical point, as there is none.
    stuck = analysed(lambda t: (t + t**3).sum() + 50 * t[1] ** 2, 0.4, 0.3)
    assert stuck.verdict in ("not critical", "gradient-flat")
    assert stuck.refined.gradient_norm > 0.9


def test_a_small_gradient_in_the_kernel_of_the_hessian_is_gradient_flat():
    def slope(t):
        return 1e-5 * t[0] + 50 * t[1] ** 2

    found = analysed(slope, 0.3, 0.4)
    assert found.refined.gradient_norm == pytest.approx(1e-5)  # below 1e-6 ||H||, and yet no minimum
    assert found.verdict == "gradient-flat"
    assert (
        analyse(
            Function(lambda t: slope(t) + (t[2:] ** 2).sum()),
            torch.full((40,), 0.1, dtype=torch.float64),
            Effort(dense_up_to=10, probes=0),
        ).verdict
        == "gradient-flat"
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("spectrum", [(3.0, 1.0), (2.0, 1.5, 0.5), (5.0, 4.0, 1.0, 0.1)], ids=str)
def test_all_critical_points_of_the_diagonal_matrix_factorization(spectrum, rank):
    r"""1/2 ||A - U V||^2, A = diag(a), U (d, r), V (r, d): one critical point, up to symmetry, for each set S of at
    most r singular values, with U e_j = sqrt(a_i) e_i, V likewise, i the j-th of S. With b outside of S, k = |S|:

        a + a', 0         for all a, a' in S            (k^2 each)
        a + b, a - b      for a in S, b outside         (k (d - k) each)
        b, -b             for b outside, spare columns  ((d - k) (r - k) each)
        0, 0              for a in S, spare columns     (k (r - k) each)
    """
    d, r = len(spectrum), rank
    target = torch.diag(torch.tensor(spectrum, dtype=torch.float64))

    def loss(theta):
        u, v = theta[: d * r].view(d, r), theta[d * r :].view(r, d)
        return 0.5 * (target - u @ v).square().sum()

    for size in range(min(d, r) + 1):
        for chosen in itertools.combinations(range(d), size):
            u = torch.zeros(d, r, dtype=torch.float64)
            for column, row in enumerate(chosen):
                u[row, column] = math.sqrt(spectrum[row])
            inside = [spectrum[i] for i in chosen]
            outside = [spectrum[i] for i in range(d) if i not in chosen]
            spare = r - size
            expected = [value for a in inside for b in inside for value in (a + b, 0.0)]
            expected += [value for a in inside for b in outside for value in (a + b, a - b)]
            expected += [value for b in outside for _ in range(spare) for value in (b, -b)]
            expected += [0.0, 0.0] * (size * spare)
            found = analysed(loss, *u.flatten().tolist(), *u.T.flatten().tolist())
            np.testing.assert_allclose(found.eigenvalues, sorted(expected), atol=1e-9)
            lowest = size == min(d, r) and chosen == tuple(range(size))  # the largest ones, in falling order
            assert found.verdict == ("minimum-like" if lowest else "strict saddle"), (chosen, found.reason)
            if not lowest:
                assert found.confirmation.confirmed


def test_a_saddle_is_confirmed_by_the_fall_that_its_curvature_predicts():
    found = analysed(TwoFactors(), 0.0, 0.0)
    step = found.confirmation
    assert step.confirmed
    assert step.predicted == pytest.approx(step.step**2 * 2 / 2)
    assert step.measured == pytest.approx(step.predicted, rel=0.1)
    np.testing.assert_allclose(found.direction.abs().numpy(), math.sqrt(0.5), rtol=1e-12)


def test_an_interrupted_analysis_goes_on_and_ends_the_same():
    def run(stages, stop=None):
        def save():
            if stop is not None and len(stages["refine"]["gradient_norms"]) > stop:
                raise KeyboardInterrupt

        start = torch.linspace(-0.5, 0.7, 6, dtype=torch.float64)
        rosenbrock = Function(lambda t: ((1 - t[:-1]) ** 2 + 10 * (t[1:] - t[:-1] ** 2) ** 2).sum())
        return analyse(rosenbrock, start, Effort(), stages=stages, save=save)

    whole = run({})
    stages = {}
    with pytest.raises(KeyboardInterrupt):
        run(stages, stop=3)
    resumed = run(stages)
    assert resumed.refined.gradient_norms == whole.refined.gradient_norms
    assert resumed.verdict == whole.verdict
    np.testing.assert_array_equal(resumed.eigenvalues, whole.eigenvalues)

import math

import pytest
import torch

from paribus.extras.surfaces.slices import evaluate_grid, filter_normalised, lattice, principal_plane
from paribus.models.cnn import CNN
from paribus.techniques.norms.norm import batch


def test_each_filter_of_a_direction_is_as_long_as_the_networks_and_vectors_do_not_move():
    network = CNN((1, 8, 8), 10, batch, widths=(4, 6))
    direction = filter_normalised(network, torch.Generator().manual_seed(0))
    again = filter_normalised(network, torch.Generator().manual_seed(0))
    assert torch.equal(direction, again)
    parts = direction.split([p.numel() for p in network.parameters()])
    for p, part in zip(network.parameters(), parts, strict=True):
        if p.ndim < 2:
            assert not part.any()
        else:
            torch.testing.assert_close(part.view_as(p).flatten(1).norm(dim=1), p.detach().flatten(1).norm(dim=1))


def test_scaling_a_network_scales_its_directions():
    network = CNN((1, 8, 8), 10, None, widths=(4,))
    before = filter_normalised(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(3)
    torch.testing.assert_close(filter_normalised(network, torch.Generator().manual_seed(0)), 3 * before)


def test_a_plane_holds_the_trajectory_that_lies_in_it_and_says_what_it_explains():
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(300, 3, generator=generator, dtype=torch.float64))
    t = torch.linspace(0, 1, 40, dtype=torch.float64)
    weights = 5 + torch.stack([10 * (1 - t), 3 * torch.sin(3 * t), 0.01 * torch.cos(9 * t)], 1) @ basis.T
    plane = principal_plane(weights)
    torch.testing.assert_close(plane.directions @ plane.directions.T, torch.eye(2, dtype=torch.float64))
    assert torch.equal(plane.path[-1], torch.zeros(2, dtype=torch.float64))
    assert float(plane.path[0, 0]) > 0
    exact = torch.linalg.svdvals(weights - weights.mean(0)).square()
    torch.testing.assert_close(plane.explained[:3], exact[:3] / exact.sum())
    rest = weights - (plane.origin + plane.path @ plane.directions)
    assert float(rest.norm(dim=1).max()) < 0.05
    with pytest.raises(ValueError, match="at least three"):
        principal_plane(weights[:2])
    with pytest.raises(ValueError, match="on a line"):
        principal_plane(t[:, None] * torch.ones(1, 5))


def test_a_random_walk_looks_as_planar_as_the_note_says():
    walk = torch.randn(60, 5000, generator=torch.Generator().manual_seed(0)).cumsum(0)
    explained = principal_plane(walk).explained
    assert float(explained[0]) == pytest.approx(6 / math.pi**2, abs=0.03)
    assert float(explained[1]) == pytest.approx(6 / math.pi**2 / 4, abs=0.02)


def test_a_grid_is_filled_from_the_middle_and_only_where_it_is_missing():
    axes = [torch.linspace(-1, 1, 5), torch.linspace(0, 1, 3)]
    first = next(iter(lattice(*axes)))
    assert first[0] == (2, 1)
    assert len({index for index, _ in lattice(*axes)}) == 15
    directions = torch.eye(2)
    calls = []

    def evaluate(theta):
        calls.append(theta)
        return float(theta[0] + 10 * theta[1]), 0.5

    values = torch.full((5, 3, 2), float("nan"), dtype=torch.float64)
    values[0] = 7.0
    evaluate_grid(evaluate, torch.tensor([100.0, 0.0]), directions, axes, values)
    assert len(calls) == 12
    assert float(values[2, 1, 0]) == 105.0
    assert bool((values[0] == 7.0).all())

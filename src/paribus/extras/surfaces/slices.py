r"""Lines and planes through the space of a network's weights, on which its loss is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


def filter_normalised(network: nn.Module, generator: torch.Generator) -> Tensor:
    r"""A random direction d (n,) of the trainable parameters whose filters are as long as the network's own:
    $d_i \leftarrow d_i\, \|\theta_i\| / \|d_i\|$ for each filter i.

    Filters are the rows of a weight (out, ...), in convolutions and linear layers alike. Biases, and the scales and
    shifts of norms, do not move. Without this scaling the width of a valley says more about the scale of the weights,
    which norms make arbitrary, than about the loss.

    Source: Li et al. 2018, arXiv:1712.09913, section 4.
    """
    parts = []
    for p in network.parameters():
        if not p.requires_grad:
            continue
        if p.ndim < 2:
            parts.append(torch.zeros(p.numel()))
            continue
        rows = torch.randn(p.shape, generator=generator).flatten(1)
        lengths = p.detach().float().cpu().flatten(1).norm(dim=1, keepdim=True)
        parts.append((rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12) * lengths).flatten())
    return torch.cat(parts)


@dataclass(frozen=True)
class Plane:
    r"""The plane of a trajectory's first two principal components, through its last point.

    directions: (2, n), of length 1 and orthogonal. path: (k, 2), the points of the trajectory in it.
    explained: (k,), the share of the variance of the points that each component holds.
    """

    origin: Tensor
    directions: Tensor
    path: Tensor
    explained: Tensor


def principal_plane(weights: Tensor) -> Plane:
    """The plane of k >= 3 weight vectors (k, n) that differ.

    A high explained variance alone says little: the components of a random walk in many dimensions explain 60 and
    15 % of it (Antognini & Sohl-Dickstein 2018, arXiv:1806.08805).

    Raises ValueError for fewer points, or points that do not differ.
    """
    if len(weights) < 3:
        raise ValueError(f"a plane takes at least three points, got {len(weights)}")
    origin = weights[-1].double()
    centred = weights.double() - weights.double().mean(0)
    # k is small and n is large: the eigenvectors of the (k, k) matrix of inner products tell the rest.
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    values = values.flip(0).clamp_min(0.0)
    if not float(values[1]) > 1e-14 * float(values.sum()):
        raise ValueError("the points lie on a line, which spans no plane")
    directions = (vectors.flip(1)[:, :2].T @ centred) / values[:2, None].sqrt()
    # The sign is arbitrary: training comes from the positive side.
    path = (weights.double() - origin) @ directions.T
    signs = torch.where(path[0] < 0, -1.0, 1.0).double()
    return Plane(origin, directions * signs[:, None], path * signs, values / values.sum())


def lattice(*axes: Tensor) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """((i, j, ...), (a_i, b_j, ...)) for all points of a grid, from the middle outwards.

    So the centre is known first, and what an interrupted computation has is the part that matters.
    """
    indices = torch.cartesian_prod(*[torch.arange(len(axis)) for axis in axes]).view(-1, len(axes))
    middle = torch.tensor([(len(axis) - 1) / 2 for axis in axes])
    order = torch.argsort((indices - middle).square().sum(1), stable=True)
    for index in indices[order]:
        yield tuple(index.tolist()), torch.stack([axis[i] for axis, i in zip(axes, index, strict=True)])


def evaluate_grid(
    evaluate: Callable[[Tensor], tuple[float, float]],
    origin: Tensor,
    directions: Tensor,
    axes: list[Tensor],
    values: Tensor,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """evaluate(origin + sum_k a_k direction_k) for all points of a grid that are not in `values` yet.

    evaluate: theta (n,) -> (loss, another metric). directions: (d, n). axes: d of them.
    values: (len(axis 1), ..., 2), nan where still to do; filled in place and returned.
    """
    total = values[..., 0].numel()
    for done, (index, coordinates) in enumerate(lattice(*axes)):
        if bool(values[index].isnan().all()):
            theta = origin + coordinates.to(directions) @ directions
            values[index] = torch.tensor(evaluate(theta), dtype=values.dtype)
        on_point(done + 1, total)
    return values

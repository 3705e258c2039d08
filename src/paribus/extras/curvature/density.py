r"""The density of eigenvalues of a matrix that is known by its products: stochastic Lanczos quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from paribus.extras.curvature.krylov import lanczos


@dataclass(frozen=True)
class Density:
    r"""$\hat\phi(x) = \frac{1}{k} \sum_{l=1}^k \sum_j w_{lj}\, \delta(x - x_{lj})$: a mean over k probes.

    nodes, weights: (k, m); the weights of a probe add up to 1.
    """

    nodes: np.ndarray
    weights: np.ndarray

    def moment(self, power: int) -> tuple[float, float]:
        r"""$\int x^p \hat\phi$, an estimate of tr(A^p) / n, and its standard error over the probes (nan for one).

        Each probe's moment equals $v^\top A^p v$ exactly up to p = 2 m - 1.
        """
        return _mean((self.weights * np.where(self.weights > 0, self.nodes, 0.0) ** power).sum(1))

    def below(self, x: float) -> tuple[float, float, float]:
        r"""Bounds of the share of eigenvalues below x, and the standard error of both over the probes.

        Between two neighbouring nodes $x_j < x \le x_{j+1}$ a probe's mass below x lies between $\sum_{i<j} w_i$ and
        $\sum_{i \le j+1} w_i$: nodes stand for clusters, and don't say where in its cluster an eigenvalue lies.

        Source: the Chebyshev-Markov-Stieltjes inequality; Szego 1939, section 3.41.
        """
        order = np.argsort(self.nodes, axis=1)
        nodes, weights = np.take_along_axis(self.nodes, order, 1), np.take_along_axis(self.weights, order, 1)
        below = (nodes < x).sum(1)  # j + 1 of them
        ranks = np.arange(nodes.shape[1])
        low, low_error = _mean((weights * (ranks < below[:, None] - 1)).sum(1))
        high, high_error = _mean((weights * (ranks <= below[:, None])).sum(1))
        return low, high, float(np.fmax(low_error, high_error))

    def smooth(self, grid: np.ndarray, width: float) -> np.ndarray:
        """The density at the points of a grid (g,), each node as a Gaussian of standard deviation `width`."""
        used = self.weights.ravel() > 0
        z = (grid[:, None] - self.nodes.ravel()[None, used]) / width
        bumps = np.exp(-0.5 * z**2) / (width * np.sqrt(2 * np.pi))
        result: np.ndarray = bumps @ self.weights.ravel()[used] / len(self.nodes)
        return result


def spectral_density(
    product: Callable[[Tensor], Tensor],
    n: int,
    *,
    probes: int,
    steps: int,
    generator: torch.Generator,
    on_probe: Callable[[int], None] = lambda done: None,
) -> Density:
    r"""Gauss quadrature of $v^\top f(A) v$ with random signs v / sqrt(n), for each probe by `steps` Lanczos steps.

    product: v (n,) -> A v (n,), symmetric. Costs probes * steps products.

    Source: Golub & Welsch 1969; Ubaru, Chen & Saad 2017, SIAM J. Matrix Anal. Appl. 38; for Hessians Ghorbani,
    Krishnan & Xiao 2019, arXiv:1901.10159.
    """
    steps = min(steps, n)
    # A probe whose Krylov space ends early has fewer nodes: the rest stand far away without weight.
    nodes, weights = np.full((probes, steps), np.inf), np.zeros((probes, steps))
    for probe in range(probes):
        signs = torch.randint(0, 2, (n,), generator=generator, device=generator.device) * 2 - 1
        alpha, beta, _ = lanczos(product, signs.double() / n**0.5, steps)
        x, vectors = eigh_tridiagonal(alpha, beta[: len(alpha) - 1])
        nodes[probe, : len(x)] = x
        weights[probe, : len(x)] = vectors[0] ** 2
        on_probe(probe + 1)
    return Density(nodes, weights)


def _mean(values: np.ndarray) -> tuple[float, float]:
    k = len(values)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(k)) if k > 1 else float("nan")

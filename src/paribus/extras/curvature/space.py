r"""The space in which a step is sought: that of the whole Hessian, or a Krylov space of Hessian and gradient."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq
from torch import Tensor

from paribus.extras.curvature.krylov import lanczos
from paribus.extras.curvature.objective import Objective

EPS = float(np.finfo(np.float64).eps)


class Space:
    r"""Columns V with $H V = V_+ \bar T$ and g within: all of R^n where that has at most `products` dimensions, and the
    Krylov space of H and g otherwise. One space serves every damping and every radius.

    sigma, left, turn: of $\bar T = U \Sigma W^\top$, U^T g and W; values, slopes, ritz: the eigenvalues of V^T H V, the
        components of g along its eigenvectors, and these. turn and ritz are None where V is made of eigenvectors.
    norm: the largest eigenvalue within in absolute value, a lower bound of ||H|| (equal to it in the whole space).
    """

    def __init__(self, objective: Objective, theta: Tensor, gradient: Tensor, products: int):
        if len(theta) <= products:
            hessian = objective.hessian(theta)
            values, self.directions = torch.linalg.eigh((hessian + hessian.T) / 2)
            self.values = self.sigma = values.cpu().numpy()
            self.slopes = self.left = (self.directions.T @ gradient).cpu().numpy()
            self.turn = self.ritz = None
        else:
            length = float(gradient.norm())
            alpha, beta, basis = lanczos(lambda v: objective.product(theta, v), gradient / length, products)
            m = len(alpha)
            tall = np.zeros((m + 1, m))  # H V = V' tall
            tall[np.arange(m), np.arange(m)] = alpha
            tall[np.arange(m) + 1, np.arange(m)] = beta
            tall[np.arange(m - 1), np.arange(m - 1) + 1] = beta[:-1]
            u, self.sigma, wt = np.linalg.svd(tall, full_matrices=False)
            self.left, self.turn = length * u[0], wt.T
            self.values, self.ritz = eigh_tridiagonal(alpha, beta[:-1])
            self.slopes = length * self.ritz[0]
            self.directions = torch.stack(basis[:m], 1)
        self.norm = max(float(np.abs(self.sigma).max()), float(np.abs(self.values).max()))

    def step(self, damping: float) -> Tensor:
        r"""$p = -W\,\frac{\sigma}{\sigma^2 + \mu}\,U^\top g$ (n,), which minimises $\|H p + g\|^2 + \mu \|p\|^2$, with
        H W = U diag(sigma); at $\mu = 0$ the shortest of least residual.
        """
        kept = np.abs(self.sigma) > len(self.sigma) * EPS * self.norm
        filtered = np.divide(self.sigma, self.sigma**2 + damping, out=np.zeros_like(self.sigma), where=kept)
        return self._lift(-filtered * self.left, self.turn)

    def lowest(self, radius: float) -> tuple[Tensor, float, bool]:
        r"""(p, fall, edge): the lowest point of $q(p) = g^\top p + \frac12 p^\top H p$ with $\|p\| \le$ `radius`, how
        far q falls to it, and whether it lies on the edge.

        $p = -(H + \nu)^{-1} g$ with the least $\nu \ge \max(0, -\lambda_{min})$ that makes it fit; where even that is
        too short (the hard case), the eigenvector of the smallest eigenvalue leads to the edge.

        Source: More & Sorensen 1983; in a Krylov space: Gould, Lucidi, Roma & Toint 1999.
        """
        values, slopes = self.values, self.slopes
        least = max(0.0, -float(values[0])) + len(values) * EPS * self.norm

        def at(shift: float) -> np.ndarray:
            result: np.ndarray = -slopes / (values + shift)
            return result

        def too_long(shift: float) -> float:
            return 1 / radius - 1 / float(np.linalg.norm(at(shift)))

        if self.norm == 0.0:  # a plane
            p = -radius * slopes / np.linalg.norm(slopes)
            return self._lift(p, self.ritz), -float(slopes @ p), True
        inside = values[0] > len(values) * EPS * self.norm and np.linalg.norm(at(0.0)) <= radius
        if inside:
            p = at(0.0)
        elif np.linalg.norm(p := at(least)) <= radius:
            p[0] = np.copysign(np.sqrt(radius**2 - p[1:] @ p[1:]), p[0])
        else:
            most = least + float(np.linalg.norm(slopes)) / radius
            p = at(brentq(too_long, least, most, xtol=1e-300, maxiter=1000))
        fall = -float(slopes @ p + 0.5 * (values * p) @ p)
        return self._lift(p, self.ritz), fall, not inside

    def _lift(self, coordinates: np.ndarray, turn: np.ndarray | None) -> Tensor:
        turned = coordinates if turn is None else turn @ coordinates
        result: Tensor = self.directions @ torch.from_numpy(np.ascontiguousarray(turned)).to(self.directions)
        return result


def flatness(image: Tensor, step: Tensor, gradient: Tensor, norm: float) -> float:
    r"""$\|H p + g\| / (\|H\| \|p\| + \|g\|)$ in [0, 1], p the step of minimal residual: near 1 the gradient lies in
    the kernel of H, and Newton's method sees nothing to do.

    image: H p. norm: ||H||. Source: Frye et al. 2021, arXiv:2003.10397, equation 6.
    """
    below = norm * float(step.norm()) + float(gradient.norm())
    return float((image + gradient).norm()) / below if below > 0 else 0.0

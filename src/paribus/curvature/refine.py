r"""From a point near a critical point to the critical point itself, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, minres
from torch import Tensor

from paribus.curvature.objective import Objective

EPS = float(np.finfo(np.float64).eps)


@dataclass
class Refined:
    """Where the refinement ended.

    gradient_norms: ||g|| at the start and after every step. reason: why it stopped.
    """

    theta: Tensor
    loss: float
    gradient: Tensor
    gradient_norms: list[float]
    reason: str

    @property
    def steps(self) -> int:
        return len(self.gradient_norms) - 1


def refine(
    objective: Objective,
    theta: Tensor,
    *,
    steps: int = 100,
    inner: int = 100,
    on_step: Callable[[Refined], None] = lambda refined: None,
) -> Refined:
    r"""Minimises $\frac12 \|g(\theta)\|^2$, whose gradient is H g, by Newton's method with minimal residuals.

    The step p minimises $\|H p + g\|$ over a Krylov space; since $\langle H g, p \rangle = -\|H p\|^2$ it descends
    whatever the signs of the eigenvalues are, so the method goes to minima, saddles and maxima alike. A step is
    halved until $\|g\|^2$ falls by a fair share of what the slope promises.

    theta: (n,), float64. steps: of Newton's method at most. inner: products for each of them at most.

    Stops at the rounding error of the gradient, where no step descends any more, or where ten steps in a row
    together gain less than 1 %: that is the sign of a gradient-flat region.

    Source: Roosta, Liu, Xu & Mahoney 2018, arXiv:1810.00303 (Newton-MR); Frye et al. 2021, arXiv:2003.10397.
    """
    loss, gradient = objective.gradient(theta)
    state = Refined(theta.detach().clone(), loss, gradient, [float(gradient.norm())], "no step was wanted")
    scale = 0.0  # a lower bound of ||H||
    for _ in range(steps):
        norm = state.gradient_norms[-1]
        if norm <= EPS * scale * max(1.0, float(state.theta.norm())) or norm == 0.0:
            state.reason = "the gradient is zero up to rounding"
            return state
        p = newton_step(objective, state.theta, state.gradient, inner)
        image = objective.product(state.theta, p)
        length = float(p.norm())
        if length == 0.0:
            state.reason = "no direction lowers the gradient norm"
            return state
        scale = max(scale, float(image.norm()) / length)
        slope = float(image @ state.gradient)
        if not _search(objective, state, p, slope):
            state.reason = "no step lowers the gradient norm any more"
            return state
        on_step(state)
        recent = state.gradient_norms[-11:]
        if len(recent) == 11 and recent[-1] > 0.99 * recent[0]:
            state.reason = "ten steps gained less than 1 %"
            return state
    state.reason = f"{steps} steps are spent" if steps else state.reason
    return state


def newton_step(objective: Objective, theta: Tensor, gradient: Tensor, products: int, rtol: float = 1e-10) -> Tensor:
    """p (n,) of minimal ||H p + g|| over a Krylov space of at most `products` dimensions (MINRES)."""
    n = len(theta)

    def matvec(v: np.ndarray) -> np.ndarray:
        return objective.product(theta, torch.from_numpy(np.ascontiguousarray(v.ravel())).to(theta)).cpu().numpy()

    operator = LinearOperator((n, n), matvec=matvec, dtype=np.float64)
    right = -gradient.double().cpu().numpy()
    p, _ = minres(operator, right, rtol=rtol, maxiter=min(products, 5 * n))
    return torch.from_numpy(p).to(theta)


def flatness(image: Tensor, step: Tensor, gradient: Tensor, norm: float) -> float:
    r"""$\|H p + g\| / (\|H\| \|p\| + \|g\|)$ in [0, 1], p the step of minimal residual: near 1 the gradient lies in
    the kernel of H, and Newton's method sees nothing to do.

    image: H p. norm: ||H||. Source: Frye et al. 2021, arXiv:2003.10397, equation 6.
    """
    below = norm * float(step.norm()) + float(gradient.norm())
    return float((image + gradient).norm()) / below if below > 0 else 0.0


def _search(objective: Objective, state: Refined, p: Tensor, slope: float) -> bool:
    """Move the state along p by the first of 1, 1/2, 1/4, ... that descends enough; False where none does."""
    before = state.gradient_norms[-1]
    share = 1.0
    while share > 1e-9:
        theta = state.theta + share * p
        loss, gradient = objective.gradient(theta)
        norm = float(gradient.norm())
        if np.isfinite(norm) and norm**2 <= before**2 + 2e-4 * share * min(slope, 0.0) and norm < before:
            state.theta, state.loss, state.gradient = theta, loss, gradient
            state.gradient_norms.append(norm)
            return True
        share /= 2.0
    return False

r"""From a point near a critical point to the critical point itself, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paribus.curvature.krylov import lanczos
from paribus.curvature.objective import Objective

EPS = float(np.finfo(np.float64).eps)


@dataclass
class Refined:
    """Where the refinement ended.

    gradient_norms: ||g|| at the start and after every step. reason: why it stopped. damping: of the last step.
    """

    theta: Tensor
    loss: float
    gradient: Tensor
    gradient_norms: list[float]
    reason: str
    damping: float = 0.0

    @property
    def steps(self) -> int:
        return len(self.gradient_norms) - 1


def refine(
    objective: Objective,
    theta: Tensor,
    *,
    steps: int = 100,
    inner: int = 100,
    damping: float = 0.0,
    on_step: Callable[[Refined], None] = lambda refined: None,
) -> Refined:
    r"""Minimises $\frac12 \|g(\theta)\|^2$, whose gradient is H g, by Levenberg and Marquardt's method on g.

    The step p minimises $\|H p + g\|^2 + \mu \|p\|^2$, whatever the signs of the eigenvalues are, so the method goes to
    minima, saddles and maxima alike. One space gives the steps for all $\mu$: they cost a gradient each, and the best
    of those tried is taken.

    theta: (n,), float64. steps: at most. inner: products for each at most (see Space); as many vectors lie in memory.
    damping: mu to begin with.

    Stops at the rounding error of the gradient, where no step descends any more, or where ten steps in a row
    together gain less than 1 %: that is the sign of a gradient-flat region.

    Source: Levenberg 1944; Marquardt 1963; Frye et al. 2021, arXiv:2003.10397, for the use of it.
    """
    loss, gradient = objective.gradient(theta)
    state = Refined(theta.detach().clone(), loss, gradient, [float(gradient.norm())], "no step was wanted", damping)
    for _ in range(steps):
        norm = state.gradient_norms[-1]
        if norm == 0.0:
            state.reason = "the gradient is zero"
            return state
        space = Space(objective, state.theta, state.gradient, inner)
        if space.norm == 0.0:
            state.reason = "the gradient lies in the kernel of the Hessian"
            return state
        if norm <= EPS * space.norm * max(1.0, float(state.theta.norm())):
            state.reason = "the gradient is zero up to rounding"
            return state
        best = _search(objective, state, space)
        if best is None:
            state.reason = "no step lowers the gradient norm any more" + _kink(objective, state, space)
            return state
        state.damping, state.theta, state.loss, state.gradient = best
        state.gradient_norms.append(float(state.gradient.norm()))
        on_step(state)
        recent = state.gradient_norms[-11:]
        if len(recent) == 11 and recent[-1] > 0.99 * recent[0]:
            state.reason = "ten steps gained less than 1 %"
            return state
    state.reason = "all steps are spent" if steps else state.reason
    return state


class Space:
    r"""The steps $p(\mu) = -W\,\frac{\sigma}{\sigma^2 + \mu}\,U^\top g$ that minimise $\|H p + g\|^2 + \mu \|p\|^2$,
    H W = U diag(sigma): in the whole space where it has at most `products` dimensions, and in the Krylov space of H
    and g otherwise.

    norm: the largest |sigma|, a lower bound of ||H|| (equal to it in the whole space).
    """

    def __init__(self, objective: Objective, theta: Tensor, gradient: Tensor, products: int):
        if len(theta) <= products:
            hessian = objective.hessian(theta)
            sigma, self.directions = torch.linalg.eigh((hessian + hessian.T) / 2)
            self.sigma = sigma.cpu().numpy()
            self.right = (self.directions.T @ gradient).cpu().numpy()
        else:
            length = float(gradient.norm())
            alpha, beta, basis = lanczos(lambda v: objective.product(theta, v), gradient / length, products)
            m = len(alpha)
            tall = np.zeros((m + 1, m))  # H V = V' tall
            tall[np.arange(m), np.arange(m)] = alpha
            tall[np.arange(m) + 1, np.arange(m)] = beta
            tall[np.arange(m - 1), np.arange(m - 1) + 1] = beta[:-1]
            u, self.sigma, wt = np.linalg.svd(tall, full_matrices=False)
            self.right = length * u[0]
            self.directions = torch.stack(basis[:m], 1) @ torch.from_numpy(wt.T).to(theta)
        self.norm = float(np.abs(self.sigma).max())

    def step(self, damping: float) -> Tensor:
        """p (n,) for this mu; at 0 the shortest of least residual."""
        kept = np.abs(self.sigma) > len(self.sigma) * EPS * self.norm
        filtered = np.divide(self.sigma, self.sigma**2 + damping, out=np.zeros_like(self.sigma), where=kept)
        return -self.directions @ torch.from_numpy(filtered * self.right).to(self.directions)


def flatness(image: Tensor, step: Tensor, gradient: Tensor, norm: float) -> float:
    r"""$\|H p + g\| / (\|H\| \|p\| + \|g\|)$ in [0, 1], p the step of minimal residual: near 1 the gradient lies in
    the kernel of H, and Newton's method sees nothing to do.

    image: H p. norm: ||H||. Source: Frye et al. 2021, arXiv:2003.10397, equation 6.
    """
    below = norm * float(step.norm()) + float(gradient.norm())
    return float((image + gradient).norm()) / below if below > 0 else 0.0


def _search(objective: Objective, state: Refined, space: Space) -> tuple[float, Tensor, float, Tensor] | None:
    """(damping, theta, f, g) of the best step: from the last damping down while that helps, and up until it does."""
    least = (1e-10 * space.norm) ** 2

    def tried(damping: float) -> tuple[float, float, Tensor, float, Tensor]:
        theta = state.theta + space.step(damping)
        loss, gradient = objective.gradient(theta)
        norm = float(gradient.norm())
        return norm if np.isfinite(norm) else np.inf, damping, theta, loss, gradient

    best = tried(state.damping)
    falls = best[0] < state.gradient_norms[-1] * (1 - 1e-10)
    if falls:
        while best[1] > least and (lower := tried(best[1] / 10 if best[1] > 10 * least else 0.0))[0] < best[0]:
            best = lower
        return best[1:]
    damping = max(state.damping, least)
    while damping < 1e8 * space.norm**2:
        damping *= 10
        higher = tried(damping)
        if higher[0] < best[0]:
            best = higher
        elif best[0] < state.gradient_norms[-1] * (1 - 1e-10):
            return best[1:]
    return None


def _kink(objective: Objective, state: Refined, space: Space) -> str:
    """Says so where the gradient jumps: just beside theta it is not what the Hessian predicts."""
    p = space.step(0.0)
    share = 1e-6
    theta = state.theta + share * p
    _, beside = objective.gradient(theta)
    predicted = objective.product(state.theta, theta - state.theta)
    defect = float((beside - state.gradient - predicted).norm())
    rounding = 1e4 * EPS * max(state.gradient_norms[0], space.norm * float(theta.norm()))
    if defect <= 0.1 * float(predicted.norm()) + rounding:
        return ""
    return ": the gradient jumps beside this point (a kink, as relu has), where no smooth critical point is in reach"

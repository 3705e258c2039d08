r"""The kind of a point, from its gradient and the eigenvalues of its Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["not critical", "gradient-flat", "strict saddle", "minimum-like", "undetermined"]
CRITICAL = 1e-6  # ||g|| / (||H|| max(1, ||theta||)) of a critical point at most
ROUNDING = 1e-12  # the same ratio where the gradient is rounding error, of which no direction means anything
FLAT = 0.9


@dataclass(frozen=True)
class Counts:
    """Numbers of eigenvalues above, within and below a tolerance."""

    positive: int
    zero: int
    negative: int

    @property
    def index(self) -> float:
        """The share of negative eigenvalues."""
        return self.negative / (self.positive + self.zero + self.negative)

    @property
    def minimum_ratio(self) -> float:
        """The notes' minimum ratio: the share of positive eigenvalues."""
        return self.positive / (self.positive + self.zero + self.negative)


def count(eigenvalues: np.ndarray, tolerance: float) -> Counts:
    positive, negative = int((eigenvalues > tolerance).sum()), int((eigenvalues < -tolerance).sum())
    return Counts(positive, len(eigenvalues) - positive - negative, negative)


def tolerance(n: int, largest: float, noise: float) -> float:
    r"""Below it an eigenvalue is zero: $n\,\epsilon\,|\lambda|_{max}$, and no less than the error of the products."""
    return max(n * float(np.finfo(np.float64).eps) * abs(largest), noise)


def judge(
    *,
    gradient_norm: float,
    theta_norm: float,
    flatness: float,
    top: float,
    bottom: float,
    bottom_error: float,
    zero: float,
) -> tuple[Verdict, str]:
    r"""The verdict and its reason.

    top, bottom: extreme eigenvalues, `bottom` at most `bottom_error` above the true one; zero: their tolerance.

    not critical   $\|g\| > 10^{-6}\, \|H\| \max(1, \|\theta\|)$: no move by 1e-6 of theta would cancel the gradient
    gradient-flat  the gradient is small but lies in the kernel of the Hessian (flatness above 0.9)
    strict saddle  an eigenvalue is negative, so gradient descent leaves. A Ritz value is never below the smallest
                   eigenvalue: it proves this even before it has converged. Maxima count here as well
    minimum-like   none is negative; where some are zero, higher orders decide
    undetermined   the Hessian is zero, or the smallest eigenvalue is not known well enough
    """
    norm = max(abs(top), abs(bottom))
    scale = norm * max(1.0, theta_norm)
    if flatness > FLAT and gradient_norm > ROUNDING * scale:
        return (
            "gradient-flat",
            f"‖Hp + g‖ / (‖H‖ ‖p‖ + ‖g‖) = {flatness:.3f} > {FLAT}: the gradient is in the null space of H",
        )
    if gradient_norm > CRITICAL * scale:
        return "not critical", f"‖g‖ = {gradient_norm:.3g} > {CRITICAL:g} ‖H‖ max(1, ‖θ‖) = {CRITICAL * scale:.3g}"
    if norm <= zero or norm == 0.0:
        return "undetermined", "the Hessian is zero up to rounding, so higher orders decide"
    if bottom < -zero:
        return "strict saddle", f"λ_min = {bottom:.6g} < −{zero:.2g}"
    if bottom - bottom_error < -max(zero, 1e-6 * norm) or bottom_error > 1e-6 * norm:
        return "undetermined", (
            f"no negative curvature was found, but λ_min = {bottom:.3g} has an error of up to {bottom_error:.2g}: "
            "allow more products"
        )
    return "minimum-like", f"no eigenvalue below −{zero:.2g}"

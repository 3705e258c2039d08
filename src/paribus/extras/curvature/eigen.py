r"""Eigenvalues at the ends of a spectrum, from products with the matrix alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor


@dataclass(frozen=True)
class End:
    r"""An extreme eigenvalue $\lambda$ with unit eigenvector v (n,).

    residual: $\|A v - \lambda v\|$. Some eigenvalue lies within it: a bound.
    error: $\min(r, r^2 / \delta)$ with $\delta$ the gap to the next Ritz value (an estimate, since the gap is one), and
        no less than the rounding error $n\,\epsilon\,\|A\|$.
    products: matrix-vector products spent.
    """

    value: float
    vector: Tensor
    residual: float
    error: float
    products: int
    converged: bool

    def as_dict(self) -> dict[str, float | int | bool]:
        return {name: getattr(self, name) for name in ("value", "residual", "error", "products", "converged")}


def extreme(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    end: Literal["top", "bottom"],
    *,
    tolerance: float = 1e-6,
    products: int = 50,
    reference: float | None = None,
    basis: int = 24,
) -> End:
    r"""The largest or the smallest eigenvalue of a symmetric matrix (n, n), n of at least 3.

    product: v (n,) -> A v (n,). start: where the Krylov space begins, not orthogonal to what is sought.
    tolerance: stop when the estimated error is at most tolerance * max(|value|, `reference`).
    products: never spend more than these; of a space that is too small the best value is returned, converged=False.
    basis: vectors of the first Krylov space.

    ARPACK runs to the end of one Krylov space at a time and begins again from the Ritz vector, in a space twice as
    large: so every product counts, a partial answer is never lost, and memory grows only where it must.

    Raises ValueError for a budget that holds no Krylov space.

    Source: Lanczos 1950; Lehoucq, Sorensen & Yang 1998 (ARPACK); bounds: Parlett 1980, sections 4.5 and 11.7.
    """
    n = len(start)
    if n < 3 or products < 5:
        raise ValueError(f"an extreme eigenvalue takes n >= 3 and at least 5 products, got n = {n} and {products}")
    spent = 0
    seen = 0.0  # the largest |A v| / |v| so far, a lower bound of the norm

    def matvec(v: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += 1
        return product(torch.from_numpy(np.ascontiguousarray(v.ravel())).to(start)).double().cpu().numpy()

    operator = LinearOperator((n, n), matvec=matvec, dtype=np.float64)
    vector = start.double().cpu().numpy()
    while True:
        room = min(basis, n, products - spent - 2)
        # With this tolerance ARPACK calls every Ritz pair converged, and stops when its space is full.
        values, vectors = eigsh(
            operator, k=2, which="LA" if end == "top" else "SA", ncv=max(room, 3), v0=vector, tol=1e300, maxiter=1
        )
        best = int(values.argmax() if end == "top" else values.argmin())
        vector = vectors[:, best] / np.linalg.norm(vectors[:, best])
        image = matvec(vector)
        value = float(vector @ image)
        residual = float(np.linalg.norm(image - value * vector))
        seen = max(seen, float(np.linalg.norm(image)))
        gap = abs(float(values[1 - best]) - value)
        rounding = n * np.finfo(np.float64).eps * seen
        error = max(rounding, min(residual, residual**2 / gap) if gap > 0 else residual)
        goal = max(tolerance * max(abs(value), reference or 0.0), rounding)
        # A space in which the start was invariant has a residual of zero and says nothing of the rest.
        converged = bool(error <= goal) or room >= n
        if converged or products - spent < 8:
            return End(value, torch.from_numpy(vector).to(start), residual, error, spent, converged)
        basis *= 2


def random_unit(n: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """A direction (n,), uniform on the sphere."""
    v = torch.randn(n, generator=generator, dtype=torch.float64, device=generator.device)
    result: Tensor = (v / v.norm()).to(dtype)
    return result


def noise_floor(product: Callable[[Tensor], Tensor], n: int, generator: torch.Generator, pairs: int = 2) -> float:
    r"""How large the norm of the error of a product is, from its lack of symmetry.

    With $A + E$ in place of a symmetric A, $u^\top (A + E) v - v^\top (A + E) u$ has the standard deviation
    $\sqrt 2\, \sigma$ for random unit u, v and independent entries of E with standard deviation $\sigma$, and
    $\|E\| \approx 2 \sigma \sqrt n$.
    """
    defects = []
    for _ in range(pairs):
        u, v = random_unit(n, generator), random_unit(n, generator)
        defects.append(float(u @ product(v) - v @ product(u)))
    return 2.0 * math.sqrt(n) * math.sqrt(float(np.mean(np.square(defects))) / 2.0)

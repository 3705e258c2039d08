r"""Krylov spaces of a symmetric matrix that is known by its products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor


def lanczos(product: Callable[[Tensor], Tensor], v: Tensor, steps: int) -> tuple[np.ndarray, np.ndarray, list[Tensor]]:
    r"""Diagonal (m,), off-diagonal (m,) and basis V of $A V = V T + \beta_m v_{m+1} e_m^\top$, from the unit vector v.

    m is below `steps` where the space ends early, and then the last off-diagonal element is 0. The basis has m + 1
    vectors, or m where the space ends. Each vector is orthogonalised against all before it, twice.
    (scipy's eigensolvers do the same but hand out neither T nor V.)

    Source: Lanczos 1950; Paige 1972 on why to orthogonalise again.
    """
    basis = [v]
    alpha: list[float] = []
    beta: list[float] = []
    for _ in range(min(steps, len(v))):
        w = product(basis[-1])
        alpha.append(float(basis[-1] @ w))
        for _ in range(2):
            for u in basis:
                w = w - (u @ w) * u
        norm = float(w.norm())
        if norm <= 1e-12 * (max(map(abs, alpha)) + max(beta, default=0.0)):
            beta.append(0.0)
            break
        beta.append(norm)
        basis.append(w / norm)
    return np.array(alpha), np.array(beta), basis

r"""Adagrad and RMSProp as lecture notes write them, where the libraries' forms differ.

Per coordinate, both are $\theta_{t+1} = \theta_t - \frac{\eta}{\sigma_t + \epsilon}\, g_t$. They differ in
$\sigma_t$.

The notes have no $\epsilon$. It stands outside the root, as in torch.optim; with 0 a coordinate whose
gradients have all been 0 becomes NaN. Weight decay is added to the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from paribus.base.torch_internals import foreach

_add, _add_, _mul_, _sqrt = map(foreach, ("add", "add_", "mul_", "sqrt"))
_addcmul_, _addcdiv_ = map(foreach, ("addcmul_", "addcdiv_"))


class _RootMeanSquare(Optimizer):
    """theta -= lr / (sqrt(v) + eps) * g; v is a mean of squared gradients that begins with the first."""

    def __init__(self, params: Any, lr: float, eps: float, weight_decay: float, **options: float):
        for name, value in {"lr": lr, "eps": eps, "weight_decay": weight_decay}.items():
            if not value >= 0.0:
                raise ValueError(f"{name} must be at least 0, got {value}. Use a small positive number")
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay, **options})

    def share(self, group: dict[str, Any], step: int) -> float:
        """The weight of the newest squared gradient in v, in step number `step` (from 1)."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            grads: list[Tensor] = [p.grad for p in parameters]
            if group["weight_decay"]:
                grads = list(_add(grads, parameters, alpha=group["weight_decay"]))
            means, shares = [], []
            for p in parameters:  # a parameter that met its first gradient later counts from there
                state = self.state[p]
                if not state:
                    state.update(step=0, square_avg=torch.zeros_like(p))
                state["step"] += 1
                means.append(state["square_avg"])
                shares.append(self.share(group, state["step"]))
            _mul_(means, [1.0 - share for share in shares])
            _addcmul_(means, grads, grads, shares)
            sigma = _sqrt(means)
            _add_(sigma, group["eps"])
            _addcdiv_(parameters, grads, sigma, value=-group["lr"])
        return loss


class AdagradRMS(_RootMeanSquare):
    r"""$\sigma_t = \sqrt{\frac{1}{t} \sum_{i \le t} g_i^2}$: the root MEAN square of all gradients so far.

    Equal to torch.optim.Adagrad, which takes the root of the SUM, with the rate lr * sqrt(t) at eps = 0. A
    coordinate moves by at most lr * sqrt(t) in step t: after many small gradients a large one throws it far.

    Raises ValueError for a negative lr, eps or weight_decay.

    Source: the mean in place of the sum of Duchi, Hazan & Singer 2011.
    """

    def __init__(self, params: Any, lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0):
        super().__init__(params, lr, eps, weight_decay)

    def share(self, group: dict[str, Any], step: int) -> float:
        return 1.0 / step


class RMSPropNotes(_RootMeanSquare):
    r"""$\sigma_0 = |g_0|,\ \sigma_t^2 = \alpha\,\sigma_{t-1}^2 + (1 - \alpha)\,g_t^2$.

    torch.optim.RMSprop begins with 0 instead of g_0^2, so its first step is 1 / sqrt(1 - alpha) times longer.

    Raises ValueError for a negative lr, eps or weight_decay, or an alpha outside [0, 1).

    Source: Tieleman & Hinton 2012, lecture 6.5, with the first step of the lecture notes.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        if not 0.0 <= alpha < 1.0:
            raise ValueError(f"alpha must lie in [0, 1), got {alpha}. Use 0.9 or 0.99")
        super().__init__(params, lr, eps, weight_decay, alpha=alpha)

    def share(self, group: dict[str, Any], step: int) -> float:
        return 1.0 if step == 1 else 1.0 - group["alpha"]

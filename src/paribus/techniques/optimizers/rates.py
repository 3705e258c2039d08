r"""The rates of an optimizer, as they act on each coordinate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

State = dict[str, Any]


@dataclass(frozen=True)
class Stability:
    r"""An optimizer as gradient descent with a rate of its own for each coordinate, while its state hardly changes.

    rates: $\eta_i$ for each parameter, of its shape: $\eta$ for gradient descent, $\eta / (\sqrt{v_i} + \epsilon)$ for
        adaptive ones, with the bias corrections of the next step.
    edge: the value of $\frac12 \lambda_{max}(\eta^{1/2} H \eta^{1/2})$ at which a quadratic becomes unstable: 1, or
        with momentum $\beta$: $1 + \beta$ (heavy ball), $(1 + \beta) / (1 + 2 \beta)$ (Nesterov),
        $(1 + \beta) / (1 - \beta)$ (momentum as an average, Adam).
    adaptive: whether rates differ between coordinates.

    Source: Cohen et al. 2021, arXiv:2103.00065, appendix B; Cohen et al. 2022, arXiv:2207.14484.
    """

    rates: list[Tensor]
    edge: float
    adaptive: bool


def stability(optimizer: Optimizer) -> Stability | None:
    """None for an optimizer that is no diagonally preconditioned gradient descent (Muon, SOAP, Lion, ...), and for an
    adaptive one that has not taken a step yet.

    Parameters come in the order of the optimizer's groups.
    """
    name = type(optimizer).__name__
    if name not in _DENOMINATORS:
        return None
    denominator = _DENOMINATORS[name]
    rates: list[Tensor] = []
    edges = set()
    for group in optimizer.param_groups:
        edges.add(_edge(name, group))
        for p in group["params"]:
            if denominator is None:
                rates.append(torch.full_like(p, float(group["lr"]), requires_grad=False))
                continue
            state = optimizer.state.get(p)
            if not state:
                return None
            rates.append(float(group["lr"]) / denominator(state, group))
    return Stability(rates, min(edges), denominator is not None)


def _edge(name: str, group: State) -> float:
    if name in ("Adam", "AdamW"):
        beta = float(group["betas"][0])
        return (1 + beta) / (1 - beta)
    beta = float(group.get("momentum", 0.0))
    if group.get("nesterov") and beta:
        return (1 + beta) / (1 + 2 * beta)
    return (1 + beta) / (1 - float(group.get("dampening", 0.0)))


def _adam(state: State, group: State) -> Tensor:
    step = float(state["step"]) + 1.0
    beta1, beta2 = map(float, group["betas"])
    second = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
    result: Tensor = (1 - beta1**step) * ((second / (1 - beta2**step)).sqrt() + group["eps"])
    return result


def _rmsprop(state: State, group: State) -> Tensor:
    second = state["square_avg"]
    if group.get("centered"):
        second = (second - state["grad_avg"].square()).clamp_min(0.0)
    result: Tensor = second.sqrt() + group["eps"]
    return result


def _adagrad(state: State, group: State) -> Tensor:
    decay = 1.0 + float(state["step"]) * group["lr_decay"]
    result: Tensor = decay * (state["sum"].sqrt() + group["eps"])
    return result


def _root_mean_square(state: State, group: State) -> Tensor:
    result: Tensor = state["square_avg"].sqrt() + group["eps"]
    return result


_DENOMINATORS: dict[str, Callable[[State, State], Tensor] | None] = {
    "SGD": None,
    "Adam": _adam,
    "AdamW": _adam,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "AdagradRMS": _root_mean_square,
    "RMSPropNotes": _root_mean_square,
}

r"""Leaving a saddle along its direction of negative curvature."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from paribus.extras.curvature.objective import Objective

EPS = float(torch.finfo(torch.float64).eps)


@dataclass(frozen=True)
class Confirmation:
    r"""A step of length `step` along v lowers f by `measured`; $\epsilon^2 |\lambda| / 2$ was `predicted`."""

    step: float
    predicted: float
    measured: float
    confirmed: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def confirm(objective: Objective, theta: Tensor, gradient: Tensor, direction: Tensor, curvature: float) -> Confirmation:
    r"""Steps down the direction of a negative curvature $\lambda$ and measures what the loss does.

    The prediction is $-\epsilon \langle g, v \rangle - \epsilon^2 \lambda / 2$ with v signed so that the first part
    helps. The step begins at max(1, ||theta||) / 10 and is halved until prediction and measurement agree to a tenth,
    as long as the prediction stands out of the rounding error of f. Confirmed where they come to agree.

    theta, gradient, direction: (n,); direction of length 1.
    """
    v = -direction if float(gradient @ direction) > 0 else direction
    here = objective.value(theta)
    slope = float(gradient @ v)
    step = max(1.0, float(theta.norm())) / 10.0
    best = Confirmation(0.0, 0.0, 0.0, False)
    while True:
        predicted = -step * slope - 0.5 * step**2 * curvature
        if predicted <= 1e3 * EPS * max(abs(here), EPS):
            return best
        measured = here - objective.value(theta + step * v)
        best = Confirmation(step, predicted, measured, abs(measured - predicted) <= 0.1 * predicted)
        if best.confirmed:
            return best
        step /= 2.0


def follow(objective: Objective, theta: Tensor, direction: Tensor, gradient: Tensor, first: float) -> Tensor:
    """theta + s v with s doubled from `first` as long as f goes on falling: (n,), the lowest point seen.

    Along a line the loss of a network is rarely worth a finer search; training goes on from here.
    """
    v = -direction if float(gradient @ direction) > 0 else direction
    best, low, step = theta, objective.value(theta), first
    while True:
        candidate = theta + step * v
        value = objective.value(candidate)
        if not value < low:
            return best
        best, low, step = candidate, value, 2.0 * step

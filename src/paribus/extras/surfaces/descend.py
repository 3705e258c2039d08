"""A descent: any optimizer and schedule on a surface, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paribus.extras.surfaces.catalogue import Surface
from paribus.techniques.optimizers.build import build_optimizer, evaluation_weights
from paribus.techniques.schedules import Schedule

FAR = 1e12  # a loss or a coordinate beyond it counts as diverged


@dataclass(frozen=True)
class Descent:
    """points (t + 1, d) and losses (t + 1,) from the start on; t is below `steps` where the descent diverged.

    rates: (t,), the learning rate of each step.
    """

    points: np.ndarray
    losses: np.ndarray
    rates: np.ndarray
    diverged: bool

    def steps_to(self, level: float) -> int | None:
        """The first number of steps after which the loss is at most `level`; None if it never is."""
        below = np.flatnonzero(self.losses <= level)
        return int(below[0]) if len(below) else None

    def settled(self, level: float) -> int | None:
        """The number of steps after which the loss is at most `level` and stays there; None if it does not."""
        above = np.flatnonzero(~(self.losses <= level))
        first = int(above[-1]) + 1 if len(above) else 0
        return None if first >= len(self.losses) else first


class Point(nn.Module):
    """A vector as a network, so that whatever trains networks moves it."""

    def __init__(self, theta: Tensor):
        super().__init__()
        self.theta = nn.Parameter(theta)


def descend(
    surface: Surface,
    make_optimizer: Callable[..., Optimizer],
    schedule: Schedule,
    steps: int,
    *,
    seed: int = 0,
) -> Descent:
    r"""`steps` updates from the surface's start, in float64.

    make_optimizer: a partial of an optimizer's class. Weight decay acts on no vector (see
    paribus.techniques.optimizers.decay), and so not here. seed: of the noise on gradients.

    Points are the weights that the optimizer evaluates with (averages, for schedule-free ones).
    """
    point = Point(surface.point())
    optimizer = build_optimizer(make_optimizer, point)
    generator = torch.Generator().manual_seed(seed)
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    points, losses, rates = [], [], []

    def record() -> float:
        with evaluation_weights(optimizer), torch.no_grad():
            points.append(point.theta.detach().clone())
            losses.append(float(surface(point.theta)))
        return max(abs(losses[-1]), float(points[-1].abs().max()))

    record()
    diverged = False
    for step in range(steps):
        schedule.apply(optimizer.param_groups, step, steps)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        surface(point.theta).backward()
        assert point.theta.grad is not None
        if surface.noise:
            noise = torch.randn(point.theta.shape, generator=generator, dtype=torch.float64)
            point.theta.grad.add_(noise, alpha=surface.noise)
        optimizer.step()
        schedule.observe(losses[-1])
        if not record() < FAR:  # nan as well
            diverged = True
            break
    return Descent(torch.stack(points).numpy(), np.array(losses), np.array(rates), diverged)

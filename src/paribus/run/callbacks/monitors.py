"""Callbacks that watch and never act: their presence changes no weight, so they are not part of a run's identity."""

from __future__ import annotations

import torch

from paribus.run.callbacks.observer import Observer
from paribus.run.trainee import Trainee


class GradientMonitor(Observer):
    r"""Per parameter, every `every` updates: gradient norm $\|g\|_2$ and update-to-weight ratio
    $\|\theta_{t+1} - \theta_t\|_2 / \|\theta_t\|_2$.

    Logged as grad_norm/NAME and update_ratio/NAME to the loggers (not to the history, whose columns are for tables).
    A ratio near 1e-3 is a common rule of thumb for healthy training.
    """

    every_update = True

    def __init__(self, every: int = 50):
        if every < 1:
            raise ValueError(f"callbacks.grad_monitor.every must be at least 1, got {every}")
        self.every = every
        self._before: dict[str, torch.Tensor] | None = None
        self._values: dict[str, torch.Tensor] = {}

    def gradients(self, run: Trainee, step: int) -> None:
        if (step + 1) % self.every == 0:
            named = list(run.network.named_parameters())
            self._before = {name: p.detach().clone() for name, p in named}
            self._values = {f"grad_norm/{name}": p.grad.norm() for name, p in named if p.grad is not None}

    def updated(self, run: Trainee, step: int) -> None:
        if self._before is None:
            return
        for name, p in run.network.named_parameters():
            before = self._before[name]
            self._values[f"update_ratio/{name}"] = (p.detach() - before).norm() / before.norm().clamp_min(1e-12)
        self._before = None
        run.log({key: float(value) for key, value in self._values.items()}, step)


class LearningRateMonitor(Observer):
    """Learning rate and momentum of every parameter group at the end of each epoch, as lr/GROUP and momentum/GROUP."""

    def epoch_ended(self, run: Trainee, step: int) -> None:
        values = {}
        for number, group in enumerate(run.param_groups()):
            values[f"lr/{number}"] = float(group["lr"])
            if "momentum" in group or "betas" in group:
                values[f"momentum/{number}"] = float(group.get("momentum", group.get("betas", (0.0,))[0]))
        run.log(values, step)

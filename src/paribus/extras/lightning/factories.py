"""Factories of optimizers and schedulers: what an option of conf/optimizer or conf/scheduler gives to a constructor.

A module calls them in configure_optimizers, as those of lightning-hydra-template do:
optimizer(params=self.parameters()) and scheduler(optimizer=optimizer).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from paribus.adapters.schedules import scheduler_of
from paribus.base.errors import UserError
from paribus.techniques.optimizers.build import build_optimizer
from paribus.techniques.schedules import Schedule


class OptimizerFactory:
    """Makes the chosen optimizer of parameters.

    make: a partial of its class. decay: what weight decay acts on, where the parameters are those of a network.
    """

    def __init__(self, make: Callable[..., Optimizer], decay: Literal["weights", "all"]):
        self.make = make
        self.decay = decay
        self.module: nn.Module | None = None
        self.used = False

    def __call__(self, params: Iterable[Any], **options: Any) -> Optimizer:
        self.used = True
        listed = list(params)
        network = self._network(listed)
        if network is not None and not options:
            return build_optimizer(self.make, network, decay=self.decay)
        return self.make(listed, **options)

    def _network(self, params: list[Any]) -> nn.Module | None:
        """The module whose parameters these are; None for groups, and for a selection."""
        if self.module is None or not all(isinstance(each, Tensor) for each in params):
            return None
        asked = {id(each) for each in params if each.requires_grad}
        for module in self.module.modules():
            if {id(p) for p in module.parameters() if p.requires_grad} == asked:
                return module
        return None

    def __deepcopy__(self, memo: Any) -> OptimizerFactory:
        return self  # save_hyperparameters copies what a constructor was given


class ScheduleFactory:
    """Makes the chosen schedule of an optimizer, as a scheduler of torch."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        self.made: list[Curve] = []

    def __call__(self, optimizer: Optimizer, **options: Any) -> Curve:
        if options:
            raise UserError(
                f"scheduler= is a schedule of Paribus, which takes the optimizer only, and the module gives it "
                f"{', '.join(options)} as well. Write the scheduler of torch into task.module.scheduler instead"
            )
        self.made.append(Curve(optimizer, self.schedule))
        return self.made[-1]

    def __deepcopy__(self, memo: Any) -> ScheduleFactory:
        return self


class SchedulerFactory:
    """Makes the chosen scheduler of torch of an optimizer; the module says when it steps.

    make: a partial of its class.
    """

    def __init__(self, make: functools.partial[Any]):
        self.make = make
        self.made: list[LRScheduler] = []

    def __call__(self, optimizer: Optimizer, **options: Any) -> LRScheduler:
        self.made.append(scheduler_of(functools.partial(self.make, **options), optimizer))
        return self.made[-1]

    def __deepcopy__(self, memo: Any) -> SchedulerFactory:
        return self


class Curve(LRScheduler):
    """A schedule of Paribus as a scheduler of torch: factor(update, horizon) times the initial rates.

    It steps with every update, whatever interval the module names; the horizon is known when the training begins.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule):
        self.schedule = schedule
        self.horizon: float | None = None
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        if self.horizon is None:
            return list(self.base_lrs)
        factor, momentum = self.schedule.at(min(self.last_epoch, self.horizon - 1), self.horizon)
        if momentum is not None:
            self.schedule.apply(self.optimizer.param_groups, min(self.last_epoch, self.horizon - 1), self.horizon)
        return [rate * factor for rate in self.base_lrs]

    def begin(self, horizon: float) -> None:
        """The training has so many updates."""
        if not math.isfinite(horizon):
            raise UserError(
                f"scheduler={type(self.schedule).__name__.lower()} needs to know how many updates the run has, which "
                "a budget in seconds or samples does not say here. Use budget.epochs or budget.updates"
            )
        self.horizon = horizon
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "horizon": self.horizon, "base_lrs": list(self.base_lrs),
                "steps": self._step_count}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.last_epoch, self.horizon = state_dict["last_epoch"], state_dict["horizon"]
        self.base_lrs, self._step_count = list(state_dict["base_lrs"]), state_dict["steps"]

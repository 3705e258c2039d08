"""Schedulers of torch, and of anybody after their pattern, as schedules of a run.

A scheduler changes the rates of an optimizer's groups, and asks nothing of it but these. So it is given a stand-in with
the same groups, and each update takes the rates from there. Nothing is patched, and a run that goes on takes the same
steps again, so it has the same rates to the bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from paribus.base.callables import parameters_of
from paribus.base.errors import UserError
from paribus.datasets.batches import BatchPlan
from paribus.techniques.schedules import Schedule

EVERY_UPDATE = ("OneCycleLR", "CyclicLR")  # torch's documentation steps them after every batch, all others every epoch
INTERVALS = ("epoch", "update")
OURS = ("interval", "monitor")  # keys that a scheduler of torch does not take
# Arguments that are the length of the run where nobody gives them, and those that say it in another way.
LENGTHS: Mapping[str, tuple[str, ...]] = {"T_max": (), "total_steps": ("epochs", "steps_per_epoch")}
MOST = 20_000  # steps that are tried before the training
_SET = ("lr", "momentum", "betas")


class Progress(Protocol):
    """Where a training stands, and how long it is; `paribus.run.data.RunData` is one. updates: None where the clock
    ends it."""

    @property
    def cursor(self) -> Any: ...
    @property
    def plan(self) -> BatchPlan: ...
    @property
    def updates(self) -> int | None: ...


def partials(node: Mapping[str, Any]) -> dict[str, Any]:
    """The node of a scheduler so that it makes a partial, as do the schedulers within it; without our own keys."""
    inner = node.get("schedulers")
    made = {key: value for key, value in node.items() if key not in OURS} | {"_partial_": True}
    if isinstance(inner, list | tuple):
        made["schedulers"] = [partials(each) if isinstance(each, Mapping) else each for each in inner]
    return made


def schedule_of(made: Any, interval: Any = None, mode: str = "min") -> Schedule:
    """A schedule of Paribus as it is, and a partial of a scheduler as one.

    interval: what the scheduler counts, "epoch" or "update"; None for what its documentation says. mode: the direction
        of the metric that it follows, min or max.

    Raises ValueError for anything else.
    """
    if isinstance(made, Schedule):
        return made
    if not isinstance(made, functools.partial):
        raise ValueError(
            f"a schedule is a scheduler of torch, or a subclass of paribus.techniques.schedules.Schedule, got "
            f"{type(made).__name__}. Let it be one of these"
        )
    name = made.func.__name__
    default = "update" if name in EVERY_UPDATE else "epoch"
    if interval not in (None, *INTERVALS):
        raise ValueError(f"interval must be epoch or update, got {interval!r}. Leave it out for {default}")
    schedule = Followed(made, interval or default)
    if schedule.watches:
        if (given := made.keywords.get("mode", mode)) != mode:
            raise ValueError(f"mode must be {mode}, the direction of what {name} follows, got {given}. Leave it out")
        schedule.make, schedule.sign = functools.partial(made, mode=mode), 1.0 if mode == "min" else -1.0
    return schedule


class Followed(Schedule):
    """The rates that a scheduler gives the groups of a stand-in.

    make: called with the stand-in, makes the scheduler. interval: what it counts. One whose `step` takes metrics, as
    ReduceLROnPlateau, is given what the run follows after each validation instead, times `sign`.
    """

    sign = 1.0

    def __init__(self, make: functools.partial[Any], interval: str):
        super().__init__()
        self.make = make
        self.interval = interval
        self.watches = "metrics" in parameters_of(getattr(make.func, "step", None))
        self._progress: Progress | None = None
        self._scheduler: Any = None
        self._steps = 0
        self._saved: dict[str, Any] = {}

    def follow(self, progress: Progress) -> None:
        self._progress, self._scheduler, self._steps = progress, None, 0

    def apply(self, groups: Iterable[dict[str, Any]], step: float, horizon: float) -> None:
        assert self._progress is not None, "a schedule follows a training"
        if self._scheduler is None:
            self._scheduler = self._made(list(groups), self._progress)
            if self._saved:
                self._scheduler.load_state_dict(self._saved["scheduler"])
                for group, rate in zip(self._scheduler.optimizer.param_groups, self._saved["rates"], strict=True):
                    group["lr"] = rate
        cursor = self._progress.cursor
        while not self.watches and self._steps < (cursor.step if self.interval == "update" else cursor.epoch):
            self._scheduler.step()
            self._steps += 1
        for group, own in zip(groups, self._scheduler.optimizer.param_groups, strict=True):
            group.update({name: own[name] for name in _SET if name in own})

    def rehearse(self, groups: Sequence[dict[str, Any]], progress: Progress) -> None:
        """Raises ValueError for arguments that do not go with the groups, and rates that are no rates."""
        scheduler, length = self._made(groups, progress), self._length(progress)
        for step in range(min(length or 1, MOST)):
            try:
                scheduler.step(*[1.0] * self.watches) if step else None
            except ValueError as error:
                raise ValueError(
                    f"{self.make.func.__name__} must last as long as the run, which is {length} {self.interval}s "
                    f"({error}). Write that length, or leave it out"
                ) from error
            for rate in (float(group["lr"]) for group in scheduler.optimizer.param_groups):
                if not -1e-12 <= rate < math.inf:  # the sums of torch's curves round below zero
                    raise ValueError(f"a learning rate must be finite, got {rate} in {self.interval} {step}")

    def observe(self, value: float) -> None:
        if self.watches:
            self._scheduler.step(self.sign * value)

    def state_dict(self) -> dict[str, Any]:
        if not self.watches or self._scheduler is None:
            return self._saved
        rates = [group["lr"] for group in self._scheduler.optimizer.param_groups]
        return {"scheduler": self._scheduler.state_dict(), "rates": rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._saved, self._scheduler = state, None

    def _length(self, progress: Progress) -> int | None:
        """Of the run, in intervals; None where the clock ends it."""
        if progress.updates is None or self.interval == "update":
            return progress.updates
        return math.ceil(progress.updates / progress.plan.updates_in(0))

    def _made(self, groups: Sequence[dict[str, Any]], progress: Progress) -> Any:
        """The scheduler of a stand-in with these groups, as they were at the beginning."""
        stand_in = _stand_in(groups)
        try:
            made = scheduler_of(self.make, stand_in, self._length(progress))
        except (TypeError, ValueError) as error:
            raise UserError(f"scheduler={self.make.func.__name__}: {error}. Write it into the option") from error
        stand_in.step()  # a scheduler warns where it is stepped before its optimizer
        return made


class _StandIn(Optimizer):
    """An optimizer that has rates, and moves nothing."""

    def step(self, closure: Any = None) -> Any:
        return None


def scheduler_of(make: functools.partial[Any], optimizer: Optimizer, length: int | None = None) -> Any:
    """The scheduler of an optimizer, and those within it.

    length: what fills the arguments of `LENGTHS` that nobody gives; None where nobody knows.
    """
    takes, given = parameters_of(make.func), dict(make.keywords)
    if "schedulers" in given:
        given["schedulers"] = [scheduler_of(each, optimizer, length) for each in given["schedulers"]]
    for name, others in LENGTHS.items():
        if name in takes and length is not None and all(given.get(each) is None for each in (name, *others)):
            given[name] = length
    made = make.func(*make.args, optimizer=optimizer, **given)
    if not isinstance(made, LRScheduler):
        raise ValueError(f"{make.func.__name__} must make a scheduler of torch, got {type(made).__name__}")
    return made


def _stand_in(groups: Sequence[dict[str, Any]]) -> Optimizer:
    own = [{key: value for key, value in group.items() if key not in ("params", "initial_lr")} for group in groups]
    for group, given in zip(own, groups, strict=True):
        group |= {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": given.get("initial_lr", given["lr"])}
    return _StandIn(own, own[0])

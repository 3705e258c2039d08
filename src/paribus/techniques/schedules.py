r"""Learning-rate schedules: pure functions of how much of the run is done.

A schedule multiplies the initial rate of every parameter group, once for each update. It is written in the fraction
t = (updates done) / (updates of the whole run), so that runs with different batch sizes go through the same curve. A
warm-up in front of it takes the first w updates; the schedule then runs over what remains.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(kw_only=True)
class Schedule:
    r"""The base of all: a warm-up from `warmup_start` linearly to 1, then `base(t)`, t in [0, 1).

    warmup: 0 for none, a fraction of the run in (0, 1), or a whole number w of updates; update number u < w has the
    factor s + (1 - s) (u + 1) / w with s = warmup_start.

    Source of the warm-up: Goyal et al. 2017, arXiv:1706.02677, section 2.2.
    """

    warmup: float | int = 0
    warmup_start: float = 0.0

    def __post_init__(self) -> None:
        whole = isinstance(self.warmup, int) and not isinstance(self.warmup, bool)
        if self.warmup < 0 or not (whole or self.warmup < 1):
            raise ValueError(
                f"warmup must be 0, a fraction of the run in (0, 1) or a number of updates, got {self.warmup!r}. "
                "Write warmup=0.05 or warmup=500"
            )
        _within("warmup_start", self.warmup_start, 0.0, 1.0)

    def base(self, t: float) -> float:
        """The factor at a fraction t of what follows the warm-up."""
        return 1.0

    def factor(self, step: float, horizon: float) -> float:
        """The factor of update number `step` (from 0) of `horizon`; both in seconds for a budget in seconds."""
        warmup = self.warmup_length(horizon)
        if step < warmup:
            # Seconds pass between updates, so there is no "next whole one" to aim at.
            done = min(1.0, (step + 1) / warmup)
            return self.warmup_start + (1.0 - self.warmup_start) * done
        return self.base((step - warmup) / (horizon - warmup)) if horizon > warmup else 1.0

    def warmup_length(self, horizon: float) -> float:
        """Length of the warm-up in the unit of the horizon."""
        return self.warmup if isinstance(self.warmup, int) else math.ceil(self.warmup * horizon)

    def momentum(self, step: float, horizon: float) -> float | None:
        """The momentum of an update, for a schedule that sets it."""
        return None

    def at(self, step: float, horizon: float) -> tuple[float, float | None]:
        """(factor, momentum) of an update."""
        return self.factor(step, horizon), self.momentum(step, horizon)

    def apply(self, groups: Iterable[dict[str, Any]], step: float, horizon: float) -> None:
        """Set the rate (the factor times each group's `initial_lr`) and the momentum of an optimizer for an update."""
        factor, momentum = self.at(step, horizon)
        for group in groups:
            group["lr"] = group["initial_lr"] * factor
            # A schedule that cycles momentum cycles what there is: plain gradient descent stays without, and the
            # averages of schedule-free optimizers rely on a constant one.
            if momentum is None or "train_mode" in group:
                continue
            if group.get("momentum"):
                group["momentum"] = momentum
            elif "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])

    def follow(self, progress: Any) -> None:
        """Called when training begins or goes on, with where it stands: `paribus.run.data.RunData`."""

    def rehearse(self, groups: Sequence[dict[str, Any]], progress: Any) -> None:
        """Called before, with the groups of an optimizer. Raises ValueError where it does not go with them."""

    def batch_factor(self, t: float) -> int:
        """By what the batch size is multiplied at a fraction t of the run."""
        return 1

    def observe(self, value: float) -> None:
        """Called after each validation with the metric scheduler.monitor, or with val/loss where there is no such key.
        Less is always better: a metric of which higher is better comes as its negative."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@dataclass
class Constant(Schedule):
    """The rate does not change."""


@dataclass
class Step(Schedule):
    r"""gamma^{floor(t / every)}: a drop after each fraction `every` of the run."""

    every: float = 1 / 3
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("every", self.every, 1e-9, 1.0)
        _within("gamma", self.gamma, 0.0, 1.0)

    def base(self, t: float) -> float:
        return self.gamma ** math.floor(t / self.every + 1e-9)  # 0.3 / 0.1 must count as 3


@dataclass
class MultiStep(Schedule):
    """A drop by gamma at each milestone, a fraction of the run. Source: He et al. 2016, arXiv:1512.03385."""

    milestones: Sequence[float] = (0.5, 0.75)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.milestones = _milestones(self.milestones)
        _within("gamma", self.gamma, 0.0, 1.0)

    def base(self, t: float) -> float:
        return self.gamma ** bisect_right(self.milestones, t + 1e-12)


@dataclass
class Exponential(Schedule):
    """final^t: the same ratio in every update, down to `final` at the end."""

    final: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("final", self.final, 1e-12, 1.0)

    def base(self, t: float) -> float:
        result: float = self.final**t
        return result


@dataclass
class Polynomial(Schedule):
    """final + (1 - final) (1 - t)^power; power 1 is linear decay."""

    power: float = 2.0
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("power", self.power, 1e-9, 1e9)
        _within("final", self.final, 0.0, 1.0)

    def base(self, t: float) -> float:
        result: float = self.final + (1.0 - self.final) * (1.0 - t) ** self.power
        return result


@dataclass
class Cosine(Schedule):
    r"""final + (1 - final) (1 + cos(pi t)) / 2. Source: Loshchilov & Hutter 2017, arXiv:1608.03983."""

    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("final", self.final, 0.0, 1.0)

    def base(self, t: float) -> float:
        return self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * t)) / 2.0


@dataclass
class CosineRestarts(Cosine):
    """`cycles` cosines one after the other, each `mult` times as long as the one before it.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983 (SGDR).
    """

    cycles: int = 3
    mult: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("cycles", self.cycles, 1, 1000)
        _within("mult", self.mult, 1.0, 100.0)
        lengths = [self.mult**k for k in range(self.cycles)]
        self._starts = [sum(lengths[:k]) / sum(lengths) for k in range(self.cycles)]
        self._lengths = [length / sum(lengths) for length in lengths]

    def base(self, t: float) -> float:
        cycle = bisect_right(self._starts, t + 1e-12) - 1
        return super().base(max(0.0, (t - self._starts[cycle]) / self._lengths[cycle]))


@dataclass
class InverseSqrt(Schedule):
    r"""1 / sqrt(1 + t / timescale), timescale as a fraction of the run: sqrt(w / u) after a warm-up of w updates,
    where timescale is w / (horizon - w). Source: Vaswani et al. 2017, arXiv:1706.03762, section 5.3.
    """

    timescale: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("timescale", self.timescale, 1e-9, 1e9)

    def base(self, t: float) -> float:
        return 1.0 / math.sqrt(1.0 + t / self.timescale)


@dataclass
class OneCycle(Schedule):
    """From 1 / div up to 1 during the first `up` of the run, then down to 1 / (div * final_div); momentum the other
    way round between `high_momentum` and `low_momentum` (null leaves it alone).

    Source: Smith & Topin 2018, arXiv:1708.07120.
    """

    up: float = 0.3
    div: float = 25.0
    final_div: float = 1e4
    anneal: Literal["cos", "linear"] = "cos"
    low_momentum: float | None = 0.85
    high_momentum: float | None = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup:
            raise ValueError(f"one_cycle is its own warm-up; its length is up={self.up}. Set scheduler.warmup=0")
        _within("up", self.up, 1e-9, 1 - 1e-9)
        if self.anneal not in ("cos", "linear"):
            raise ValueError(f"anneal must be cos or linear, got {self.anneal!r}")

    def factor(self, step: float, horizon: float) -> float:
        return self._between(step, horizon, 1.0 / self.div, 1.0, 1.0 / (self.div * self.final_div))

    def momentum(self, step: float, horizon: float) -> float | None:
        if self.low_momentum is None or self.high_momentum is None:
            return None
        return self._between(step, horizon, self.high_momentum, self.low_momentum, self.high_momentum)

    def _between(self, step: float, horizon: float, start: float, peak: float, end: float) -> float:
        # As torch's OneCycleLR: the last update of the run has the final value.
        top, last = self.up * horizon - 1.0, horizon - 1.0
        if step <= top:
            return self._anneal(start, peak, step / top if top > 0 else 1.0)
        return self._anneal(peak, end, min(1.0, (step - top) / (last - top)) if last > top else 1.0)

    def _anneal(self, start: float, end: float, t: float) -> float:
        if self.anneal == "linear":
            return start + (end - start) * t
        return end + (start - end) * (1.0 + math.cos(math.pi * t)) / 2.0


@dataclass
class WSD(Schedule):
    """Warm-up, stable, decay: 1 until the last `decay` of the run, then down to `final`.

    shape: linear, or sqrt for 1 - sqrt(x). Source: Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024,
    arXiv:2405.18392.
    """

    decay: float = 0.2
    final: float = 0.0
    shape: Literal["linear", "sqrt"] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("decay", self.decay, 1e-9, 1.0)
        _within("final", self.final, 0.0, 1.0)
        if self.shape not in ("linear", "sqrt"):
            raise ValueError(f"shape must be linear or sqrt, got {self.shape!r}")

    def base(self, t: float) -> float:
        x = max(0.0, (t - (1.0 - self.decay)) / self.decay)
        return 1.0 - (1.0 - self.final) * (x if self.shape == "linear" else math.sqrt(x))


@dataclass
class Plateau(Schedule):
    """Multiply by `gamma` after more than `patience` validations without an improvement of the monitored metric by more
    than `threshold` times the absolute value of its best.

    monitor: what `observe` is given, see there. The only schedule that looks at the run, and so the only one with a
    state. Same rule as torch.optim.lr_scheduler.ReduceLROnPlateau, where values are positive.
    """

    monitor: str = "val/loss"
    gamma: float = 0.3
    patience: int = 3
    threshold: float = 1e-4
    minimum: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        _within("gamma", self.gamma, 0.0, 1.0)
        _within("patience", self.patience, 0, 10**9)
        self._factor, self._best, self._bad = 1.0, math.inf, 0

    def base(self, t: float) -> float:
        return self._factor

    def observe(self, value: float) -> None:
        if value < self._best * (1.0 - math.copysign(self.threshold, self._best)):
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._bad > self.patience:
            self._factor, self._bad = max(self._factor * self.gamma, self.minimum), 0

    def state_dict(self) -> dict[str, Any]:
        return {"factor": self._factor, "best": self._best, "bad": self._bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factor, self._best, self._bad = state["factor"], state["best"], state["bad"]


@dataclass
class BatchGrowth(Schedule):
    """A constant rate; the batch grows by `growth` at each milestone, where a step schedule would divide the rate.

    Changes at the beginning of the epoch that follows the milestone; never beyond the training set.
    Source: Smith et al. 2018, arXiv:1711.00489.
    """

    milestones: Sequence[float] = (0.5, 0.75)
    growth: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.milestones = _milestones(self.milestones)
        _within("growth", self.growth, 1, 10**6)

    def batch_factor(self, t: float) -> int:
        return int(self.growth ** bisect_right(self.milestones, t + 1e-12))


def _milestones(values: Sequence[float]) -> tuple[float, ...]:
    for value in values:
        _within("milestones", value, 1e-9, 1.0)
    if list(values) != sorted(set(values)):
        raise ValueError(f"milestones must grow, got {list(values)}")
    return tuple(float(value) for value in values)


def _within(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number between {low:g} and {high:g}, got {value!r}")

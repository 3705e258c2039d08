"""Hooks of Lightning's callbacks in the loop of Paribus, whose training steps make several updates.

Whose callback acts on every batch gets one: a training step is then one update, and Lightning's own backward() and
step() call what belongs to them. Evaluations are the loop's own, so it calls the hooks around them itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytorch_lightning import Callback, LightningModule

from paribus.base.errors import UserError
from paribus.base.lightning_internals import saves_within_epochs
from paribus.base.terminal import say

EVERY_BATCH = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "on_before_zero_grad"),
)
NEVER = tuple(f"on_{part}_batch_{end}" for part in ("validation", "test") for end in ("start", "end"))
_LIGHTNING = ("pytorch_lightning.", "lightning.pytorch.")
_EMPTY = tuple(f"{name}callbacks.callback" for name in _LIGHTNING)  # hooks that do nothing
NEED_LOGGER = frozenset(("DeviceStatsMonitor", "LearningRateMonitor", "ThroughputMonitor"))
# Lightning's own that change its loops, its schedulers or the parameters of its optimizers, and what to use instead.
REFUSED: Mapping[str, str] = {
    "BaseFinetuning": "freeze='{PATTERN: EPOCH}'",
    "BatchSizeFinder": "an ablation over data.batch_size",
    "GradientAccumulationScheduler": "trainer.accumulate=NUMBER",
    "LearningRateFinder": "an ablation that tunes optimizer.lr",
    "ModelPruning": "task=lightning, whose loop is Lightning's",
    "ProgressBar": "callbacks=[default], which shows progress",
    "StochasticWeightAveraging": "callbacks=[default,ema]",
}


class Hooks:
    """The hooks of the callbacks of a training, but for those of Paribus, which know its steps."""

    def __init__(self, module: LightningModule):
        self.module = module
        callbacks: list[Any] = getattr(module.trainer, "callbacks", [])
        self.every_update = any(map(every_batch, callbacks))
        self._found: dict[str, list[Callable[..., Any]]] = {}
        for callback in callbacks:
            for name in strangers(callback):
                self._found.setdefault(name, []).append(getattr(callback, name))

    def call(self, name: str, *arguments: Any) -> None:
        for hook in self._found.get(name, ()):
            hook(self.module.trainer, self.module, *arguments)

    @contextmanager
    def around(self, part: str) -> Iterator[None]:
        """The hooks before and after a validation or a test."""
        for name in (f"on_{part}_start", f"on_{part}_epoch_start"):
            self.call(name)
        yield
        for name in (f"on_{part}_epoch_end", f"on_{part}_end"):
            self.call(name)


def strangers(callback: Any) -> list[str]:
    """The hooks that a callback has and that Paribus did not write."""
    names = [name for name in dir(Callback) if name.startswith("on_") and hasattr(callback, name)]
    homes = {name: str(getattr(getattr(callback, name), "__module__", None)) for name in names}
    return [name for name, home in homes.items() if home not in _EMPTY and not home.startswith("paribus.")]


def lightnings(callback: Any) -> set[str]:
    """The names of Lightning's classes that it is of."""
    return {kind.__name__ for kind in type(callback).__mro__ if kind.__module__.startswith(_LIGHTNING)}


def every_batch(callback: Any) -> list[str]:
    """Those of its hooks that want every batch."""
    found = [name for name in strangers(callback) if name in EVERY_BATCH]
    return found if saves_within_epochs(callback) else []


def check_hooks(where: str, callback: Any, logs: bool) -> None:
    """Say what a callback costs and what is never called. logs: whether the run has a logger.

    Raises UserError for one that can't work in this loop.
    """
    kinds = lightnings(callback)
    if refused := kinds & REFUSED.keys():
        name = refused.pop()
        raise UserError(
            f"{where} is a {name} of Lightning, which changes Lightning's own loop, and this task is trained by a loop "
            f"of Paribus. Leave it out, and use {REFUSED[name]}"
        )
    if kinds & NEED_LOGGER and not logs:
        raise UserError(f"{where} writes to loggers, and the run has none. Add logger=csv")
    if found := every_batch(callback):
        _tell(
            f"{where} acts on every batch ({', '.join(found)}), so each training step makes one update. Small networks "
            "train more slowly then"
        )
    if found := [name for name in strangers(callback) if name in NEVER]:
        _tell(
            f"{where} has hooks for the batches of evaluations ({', '.join(found)}). They are not called, because "
            "Paribus evaluates in batches of its own"
        )


@functools.cache
def _tell(message: str) -> None:
    """Once in a process: a sweep has many configurations with the same callback."""
    say(message)

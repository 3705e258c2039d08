"""Preflight: the checks of a configuration before training, so that a mistake is reported at once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from paribus.base.errors import UserError
from paribus.base.torch_internals import shards_on_cpu
from paribus.config.nodes import targets, warmup_updates, without_numbers
from paribus.config.run import Run, too_long
from paribus.config.targets import known
from paribus.run import alone, build
from paribus.run.data import RunData
from paribus.run.drivers import driver_of
from paribus.run.instantiate import check_arguments
from paribus.run.passes import check_callbacks, check_statistics, on_meta, take_step

T = TypeVar("T")


class Preflight:
    """Checks configurations one after another; what several of them share is built once.

    A network is built without memory (on the meta device) and batches of each size to come go through it: forward,
    loss, metrics, backward, and one step of the optimizer. Data are loaded, the schedule is asked for its values.

    Code that is not ours may need what the meta device lacks. Where it fails there, a process of its own builds the
    network on the device of the training, and that decides (`run/alone.py`).
    """

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def check(self, run: Run) -> None:
        """Raises UserError with what can't work, and what to do about it."""
        if (driver := driver_of(run)) is not None:
            return driver.check(run)
        parts = (run.data.source, run.loss, run.scheduler, run.augmentation)
        setting = self._once(lambda: build.build_setting(run), "setting", *parts)
        length = (run.data, run.scheduler, run.budget, *_processes(run))
        data = self._once(lambda: build.build_data(run, setting), "data", *length)
        if (network := self.check_built(run, setting, data)) is not None:
            check_callbacks(run, network)
        for name, node in run.logger_nodes.items():
            check_arguments(f"logger.{name}", node)

    def check_built(self, run: Run, setting: build.Setting, data: RunData) -> nn.Module | None:
        """`check` for a setting and data that are there already, but for callbacks and loggers. The network, on the
        meta device; None where it was tried elsewhere."""
        _check_sharding(run)
        build.check_monitors(run, setting.task)
        judged = (run.measures, run.data.source, run.loss, run.task.node)
        self._once(lambda: build.build_measures(run, setting), "measures", *judged)
        changed = (run.augmentation, run.data.source, run.loss, run.task.node)
        self._once(lambda: build.try_augmentation(run, setting), "augmentation", *changed)
        shares = sorted(data.batch_shares())
        _check_parts(run.trainer.accumulate, shares)
        network: nn.Module | None = None
        try:
            network = self._on_meta(run, setting, data, shares)
        except Exception:
            if only_known(run):
                raise
        # Parametrizations look at the values of weights, and ours start with none that they refuse.
        if network is None or (run.norm.weight and not only_known(run)):
            network = None
            parts = (*_network(run), without_numbers(run.optimizer), run.decay, run.groups, run.callbacks)
            reason = self._once(lambda: alone.fault(run, shares), f"alone {shares}", *parts)
            if reason is not None:
                raise UserError(reason)
        horizon, warmup = data.horizon, warmup_updates(run.scheduler)
        if warmup is not None and warmup > horizon:
            raise UserError(too_long(warmup, horizon, "seconds" if data.budget.unit == "seconds" else "updates"))
        for step in (0.0, horizon / 2, horizon - 1):
            factor = setting.schedule.factor(step, horizon)
            if not 0 <= factor < math.inf:
                raise UserError(
                    f"scheduler: the factor on the learning rate must be finite, got {factor} at step {step:g}"
                )
        return network

    def _on_meta(self, run: Run, setting: build.Setting, data: RunData, shares: Sequence[tuple[int, ...]]) -> nn.Module:
        parts = _network(run)
        network, unknown = self._once(lambda: on_meta(run, setting, shares), f"network {shares}", *parts)
        with torch.device("meta"):
            optimizer = build.build_optim(run, network)
        check_statistics(run, optimizer, unknown)
        curve = (run.scheduler, run.optimizer, run.groups, run.lr_scaling, run.decay, run.data, run.budget)
        with build.as_user_error("scheduler"):
            self._once(lambda: setting.schedule.rehearse(optimizer.param_groups, data), "curve", *parts, *curve)
        # The optimizer's numbers, such as the learning rate, make no difference to what can't work.
        form = (*parts, without_numbers(run.optimizer), run.decay, run.groups)
        self._once(lambda: take_step(run, optimizer), "step", *form)
        return network

    def _once(self, make: Callable[[], T], what: str, *parts: object) -> T:
        """make(), remembered by the parts of the run that it depends on."""
        key = what + json.dumps(parts, sort_keys=True, default=str)
        if key not in self._built:
            self._built[key] = make()
        result: T = self._built[key]
        return result


def _processes(run: Run) -> tuple[object, ...]:
    return (run.trainer.devices, run.trainer.num_nodes, run.trainer.accumulate, run.trainer.channels_last)


def _network(run: Run) -> tuple[object, ...]:
    """What a pass through a network depends on."""
    parts = (run.data.source, run.task.node, run.model, run.norm, run.loss, run.init, run.freeze)
    return (*parts, *_processes(run))


def only_known(run: Run) -> bool:
    """Whether model, norms, loss and optimizer, and what stands within them, are ours or of libraries that we know."""
    nodes = (run.model, *run.norm.nodes, run.loss, run.optimizer)
    return all(known(target) for node in nodes for target in targets(node))


def _check_sharding(run: Run) -> None:
    if run.trainer.strategy == "fsdp" and not run.trainer.on_gpu and not shards_on_cpu():
        raise UserError(
            f"trainer.strategy=fsdp: torch {torch.__version__} shards networks on GPUs only, and this run has "
            f"trainer.accelerator={run.trainer.accelerator}. Use trainer.accelerator=gpu, a newer torch "
            "(`pip install --upgrade torch`), or trainer=ddp_sim, which keeps the whole network in each process"
        )


def _check_parts(parts: int, shares: Sequence[tuple[int, ...]]) -> None:
    for share in shares:
        if (size := min(share)) < parts:
            raise UserError(
                f"trainer.accumulate={parts} splits a batch into as many parts, and one has {size} samples "
                "for a process. Use data.drop_last=true, a larger batch or fewer parts"
            )

"""Preflight: what can be known to fail before training fails here, and not in the middle of the night."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from paribus.config.identity import BUDGET_UNITS
from paribus.config.run import too_long
from paribus.config.targets import known
from paribus.errors import UserError
from paribus.task.data import ImageData
from paribus.train import alone, build
from paribus.train.instantiate import check_arguments
from paribus.train.passes import check_callbacks, check_statistics, on_meta, take_step

Config = Mapping[str, Any]
T = TypeVar("T")


class Preflight:
    """Checks configurations one after another; what several of them share is built once.

    A network is built without memory (on the meta device) and batches of each size to come go through it: forward,
    loss, metrics, backward, and one step of the optimizer. Data are loaded, the schedule is asked for its values.

    Code that is not ours may need what the meta device lacks. Where it fails there, a process of its own builds the
    network on the device of the training, and that decides (`train/alone.py`).
    """

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def check(self, config: Config) -> None:
        """Raises UserError with what can't work, and what to do about it."""
        setting = self._once(
            build.build_setting, config, ("data.source", "loss", "scheduler", "augmentation"), "setting"
        )
        parts = ("data", "scheduler", *(f"budget.{unit}" for unit in BUDGET_UNITS), *_PROCESSES)
        data = self._once(lambda config: build.build_data(config, setting), config, parts, "data")
        if (network := self.check_built(config, setting, data)) is not None:
            check_callbacks(config, network)
        for name, node in (config["logger"] or {}).items():
            if node is not None:
                check_arguments(f"logger.{name}", node)

    def check_built(self, config: Config, setting: build.Setting, data: ImageData) -> nn.Module | None:
        """`check` for a setting and data that are there already, but for callbacks and loggers. The network, on the
        meta device; None where it was tried elsewhere."""
        build.check_monitors(config, setting.loss)
        shares = sorted(data.batch_shares())
        _check_parts(config["trainer"]["accumulate"], shares)
        network: nn.Module | None = None
        try:
            network = self._on_meta(config, setting, shares)
        except Exception:
            if only_known(config):
                raise
        # Parametrizations look at the values of weights, and ours start with none that they refuse.
        if network is None or (config["norm"]["weight"] and not only_known(config)):
            network = None
            parts = ("data.source", "model", "norm", "loss", "optimizer", "decay", "callbacks", *_PROCESSES)
            reason = self._once(lambda _: alone.fault(config, shares), _form(config), parts, f"alone {shares}")
            if reason is not None:
                raise UserError(reason)
        horizon, warmup = data.horizon, config["scheduler"].get("warmup")
        if isinstance(warmup, int) and warmup > horizon:
            raise UserError(too_long(warmup, horizon, "seconds" if data.budget.unit == "seconds" else "updates"))
        for step in (0.0, horizon / 2, horizon - 1):
            factor = setting.schedule.factor(step, horizon)
            if not 0 <= factor < math.inf:
                raise UserError(
                    f"scheduler: the factor on the learning rate must be finite, got {factor} at step {step:g}"
                )
        return network

    def _on_meta(self, config: Config, setting: build.Setting, shares: Sequence[tuple[int, ...]]) -> nn.Module:
        parts = ("data.source", "model", "norm", "loss", *_PROCESSES)
        make = functools.partial(on_meta, setting=setting, shares=shares)
        network, unknown = self._once(make, config, parts, f"network {shares}")
        with torch.device("meta"):
            optimizer = build.build_optim(config, network)
        check_statistics(config, optimizer, unknown)
        self._once(lambda _: take_step(config, optimizer), _form(config), (*parts, "optimizer", "decay"), "step")
        return network

    def _once(self, make: Callable[[Config], T], config: Config, parts: Sequence[str], what: str = "") -> T:
        """make(config), remembered by the parts of the config that it depends on."""
        key = what + json.dumps([_at(config, part) for part in parts], sort_keys=True, default=str)
        if key not in self._built:
            self._built[key] = make(config)
        return self._built[key]


_PROCESSES = ("trainer.devices", "trainer.num_nodes", "trainer.accumulate", "trainer.channels_last")


def _form(config: Config) -> Config:
    """Without the optimizer's numbers, such as the learning rate: they make no difference to what can't work."""
    return {**config, "optimizer": {key: v for key, v in config["optimizer"].items() if not isinstance(v, float)}}


def only_known(config: Config) -> bool:
    """Whether model, norms, loss and optimizer, and what stands within them, are ours or of libraries that we know."""
    return all(known(target) for part in ("model", "norm", "loss", "optimizer") for target in _targets(config[part]))


def _targets(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        yield from ([node["_target_"]] if "_target_" in node else ())
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _targets(item)


def _check_parts(parts: int, shares: Sequence[tuple[int, ...]]) -> None:
    for share in shares:
        if (size := min(share)) < parts:
            raise UserError(
                f"trainer.accumulate={parts} splits a batch into as many parts, and one has {size} samples "
                "for a process. Use data.drop_last=true, a larger batch or fewer parts"
            )


def _at(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value

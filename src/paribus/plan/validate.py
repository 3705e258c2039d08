"""Checks of the plain values of a config: those that no constructor sees, or sees too late."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from paribus.directions import higher_is_better, mode
from paribus.errors import UserError
from paribus.plan.identity import EARLY_STOPPING, budget, world_size
from paribus.plan.targets import public_name
from paribus.terminal import say

# The sections that it looks at.
SECTIONS = (
    "budget",
    "callbacks",
    "clip",
    "data",
    "decay",
    "evaluation",
    "lr_scaling",
    "repetition",
    "seeds",
    "tags",
    "trainer",
)
_PARTS = {  # sections that hold values by name -> what people may have meant
    "budget": "budget.epochs=20",
    "clip": "clip.norm=1.0",
    "evaluation": "evaluation.every=1",
    "lr_scaling": "lr_scaling.rule=linear",
    "seeds": "seed=1, or seeds.init=1",
}
_CHOICES = {
    "decay": ("weights", "all"),
    "evaluation.checkpoint": ("last", "best"),
    "evaluation.statistics": ("moving", "recomputed", "batch"),
    "evaluation.monitor": ("val/acc", "val/loss", "val/ece"),
    "lr_scaling.rule": ("none", "linear", "sqrt"),
    "trainer.accelerator": ("cpu", "gpu", "cuda", "mps"),
    "trainer.strategy": ("auto", "ddp", "fsdp"),
    "trainer.precision": ("64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"),
}
_WHOLE = {  # least value
    "seeds.init": 0,
    "seeds.order": 0,
    "seeds.augmentation": 0,
    "evaluation.every": 1,
    "evaluation.batch_size": 1,
    "lr_scaling.base_batch_size": 1,
    "trainer.accumulate": 1,
    "data.workers": 0,
    "data.split_seed": 0,
    "data.noise_seed": 0,
}
_POSITIVE_OR_NULL = ("clip.norm", "clip.value")
_SWITCHES = (
    "trainer.compile",
    "trainer.channels_last",
    "trainer.deterministic",
    "data.drop_last",
    "data.standardize",
)


def validate(config: Mapping[str, Any]) -> None:
    """Raises UserError for the first value that can't be: names the key, what it must be, and what it is."""
    for key, example in _PARTS.items():
        if not isinstance(value := config[key], Mapping):
            raise UserError(f"{key} holds values by name, and can't be {value!r} itself. Try {example}")
    _directions(config)
    budget(config)
    processes = world_size(config)
    for key, choices in _CHOICES.items():
        if (value := _at(config, key)) not in choices:
            raise UserError(f"{key} must be one of {', '.join(choices)}, got {value!r}")
    for key, least in _WHOLE.items():
        value = _at(config, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{key} must be a whole number of at least {least}, got {value!r}")
    if not isinstance(number := config.get("repetition", 0), int) or isinstance(number, bool) or number < 0:
        raise UserError(f"repetition must be a whole number of at least 0, got {number!r}")
    for key in _POSITIVE_OR_NULL:
        value = _at(config, key)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value <= 0):
            raise UserError(f"{key} must be a positive number, or null for no clipping, got {value!r}")
    for key in _SWITCHES:
        if not isinstance(value := _at(config, key), bool):
            raise UserError(f"{key} must be true or false, got {value!r}")
    batch = config["data"]["batch_size"]
    if batch != "full" and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
        raise UserError(f"data.batch_size must be a whole number of at least 1, or full, got {batch!r}")
    threads = config["trainer"]["threads"]
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UserError(f"trainer.threads must be a whole number of at least 1, or null, got {threads!r}")
    if config["trainer"]["strategy"] == "auto" and processes > 1:
        raise UserError(f"{processes} processes need a strategy: add trainer.strategy=ddp, or use trainer=ddp")
    if not isinstance(config["tags"], list) or any(not isinstance(tag, str) for tag in config["tags"]):
        raise UserError(f"tags must be a list of words, got {config['tags']!r}. Try tags=[first,second]")


# Configurations of before gave the direction of a monitored metric, which follows from the metric now.
_MODES = ("evaluation.mode=", "callbacks.early_stopping.mode=")


def with_mode(override: str) -> str:
    """An override that Hydra takes, where a command line gives a direction: `validate` says what it thinks of it."""
    return f"+{override}" if override.startswith(_MODES) else override


def without_mode(where: str, node: Any) -> Any:
    """A section of a config without a direction that follows from its monitored metric."""
    gone = isinstance(node, Mapping) and (where == "evaluation" or public_name(node.get("_target_")) == EARLY_STOPPING)
    return {key: value for key, value in node.items() if key != "mode"} if gone else node


def _directions(config: Mapping[str, Any]) -> None:
    callbacks = config.get("callbacks") or {}
    nodes = {"evaluation": config["evaluation"], **{f"callbacks.{name}": node for name, node in callbacks.items()}}
    for where, node in nodes.items():
        if where != "evaluation" and node is not None and not (isinstance(node, Mapping) and node.get("_target_")):
            name = where.removeprefix("callbacks.")
            raise UserError(
                f"{where} must name its class ({where}._target_), got {node!r}. If Paribus has one of that name write "
                f"callbacks=[default,{name}]"
            )
        if isinstance(node, Mapping) and "mode" in node and isinstance(monitor := node.get("monitor"), str):
            check_mode(where, monitor, node["mode"])
            if "mode" not in without_mode(where, node):
                _say(f"{where}.mode is gone: which direction is better follows from {where}.monitor. Leave it out")


def check_mode(where: str, monitor: str, told: Any) -> None:
    """Raises UserError where the direction that something is told is not that of its metric.

    A metric without a known direction has the one that is told.
    """
    if higher_is_better(monitor) is not None and told != mode(monitor):
        better = "higher" if higher_is_better(monitor) else "lower"
        raise UserError(
            f"{where}.mode is {told}, but of {where}.monitor={monitor} {better} is better. Leave {where}.mode out, or "
            f"write {mode(monitor)}"
        )


@functools.cache
def _say(line: str) -> None:
    """Once in a process, however many configurations say it."""
    say(line)


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value

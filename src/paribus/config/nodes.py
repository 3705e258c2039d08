"""Nodes of a configuration: a `_target_` and the arguments of what it names, which is other people's as often as ours.

Their keys belong to whatever class they are for. What Paribus itself asks of them has a function here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from paribus.config.targets import public_name

_RATES = ("lr", "adamw_lr")
# Sources whose path may be a name of the Hugging Face hub.
HUB_SOURCES = ("paribus.source.HuggingFace", "paribus.source.HuggingFaceText")


def target_of(node: Mapping[str, Any]) -> str:
    """The public name of what a node is for."""
    return public_name(node.get("_target_"))


def targets(node: Any) -> Iterator[str]:
    """The public names of all that a node names, its own first."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield public_name(node["_target_"])
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from targets(value)


def as_hydra_gives(value: Any) -> Any:
    """An argument as Hydra gives it to a class whose node says nothing else, or `_convert_: none`.

    Mappings become DictConfig and lists ListConfig, whose entries are attributes too. Objects in them stay.
    """
    if not isinstance(value, dict | list):
        return value
    return OmegaConf.create(value, flags={"allow_objects": True})


def class_of(node: Mapping[str, Any]) -> str:
    """The name of its class or function, without the module."""
    return str(node["_target_"]).rpartition(".")[2]


def name_of(node: Mapping[str, Any]) -> str:
    """What messages call a node."""
    return class_of(node).lower()


def learning_rate(optimizer: Mapping[str, Any]) -> Any:
    """What an optimizer is given as its learning rate; an empty text where it is given none."""
    return optimizer.get("lr", "")


def scaled(optimizer: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """An optimizer with its learning rates times a factor."""
    return {key: value * factor if key in _RATES else value for key, value in optimizer.items()}


def without_numbers(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node without those of its own arguments that are no whole numbers, such as learning rates."""
    return {key: value for key, value in node.items() if not isinstance(value, float)}


def monitored(node: Mapping[str, Any]) -> str | None:
    """The metric that a callback follows; None for one that follows none."""
    monitor = node.get("monitor")
    return monitor if isinstance(monitor, str) else None


def warmup_updates(scheduler: Mapping[str, Any]) -> int | None:
    """The updates that a schedule warms up for, where it says so in updates (and not as a fraction of the run)."""
    warmup = scheduler.get("warmup")
    return warmup if isinstance(warmup, int) else None


def interval_of(scheduler: Mapping[str, Any]) -> Any:
    """What a scheduler of torch counts, "epoch" or "update"; None where the configuration does not say."""
    return scheduler.get("interval")


def hub_path(source: Mapping[str, Any]) -> str | None:
    """What a source of Hugging Face reads: a folder, or a name on its hub; None for any other source."""
    return str(source.get("path")) if target_of(source) in HUB_SOURCES else None


class Project(NamedTuple):
    """Where W&B keeps runs, as a configuration says it."""

    project: Any
    entity: Any


def wandb_project(loggers: Mapping[str, Any]) -> Project | None:
    """Where the W&B logger among loggers sends runs; None where there is none."""
    for node in loggers.values():
        if isinstance(node, Mapping) and target_of(node) == "paribus.logger.wandb":
            return Project(node.get("project"), node.get("entity"))
    return None

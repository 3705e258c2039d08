"""The objects of one run, built from its resolved config; every mistake that a config can hold is met here."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from paribus.config.identity import budget, world_size
from paribus.config.modes import check_mode, without_mode
from paribus.config.targets import public_name
from paribus.data.prepare import Splits, prepare
from paribus.data.seeds import mix
from paribus.data.source import Source
from paribus.directions import kind
from paribus.errors import UserError
from paribus.losses import Loss
from paribus.optim.build import build_optimizer
from paribus.optim.schedule import Schedule
from paribus.task.data import ImageData
from paribus.task.progress import Budget
from paribus.train.instantiate import check_arguments, instantiate

Config = Mapping[str, Any]
_SPLIT_KEYS = ("validation", "split_seed", "subset", "label_noise", "noise_seed", "standardize", "resident")


@contextmanager
def as_user_error(where: str) -> Iterator[None]:
    """A ValueError or TypeError within becomes a UserError that names the part of the config."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: {error}") from error


@dataclass
class Setting:
    """What must be known before a network can be built, and costs nothing to know."""

    source: Source
    loss: Loss
    schedule: Schedule
    augmentation: Any


def build_setting(config: Config) -> Setting:
    source: Source = instantiate("data.source", config["data"]["source"])
    return Setting(
        source=source,
        loss=instantiate("loss", config["loss"], num_classes=source.num_classes),
        schedule=instantiate("scheduler", config["scheduler"]),
        augmentation=instantiate("augmentation", config["augmentation"]),
    )


def stream(config: Config, name: str) -> int:
    """The seed of one of the three random streams: seeds.NAME, mixed with `repetition` unless that is 0."""
    seed, repetition = config["seeds"][name], config.get("repetition", 0)
    return mix(seed, repetition) if repetition else seed


def build_network(config: Config, setting: Setting) -> nn.Module:
    """The network in its initial state, a function of seeds.init alone."""
    # torch.manual_seed() would also seed every backend that the machine might have, for 3 ms; this is drawn on the CPU.
    torch.default_generator.manual_seed(mix(stream(config, "init"), 0))
    norm = config["norm"]
    activation = instantiate("norm", norm["activation"]) if norm["activation"] else None
    network: nn.Module = instantiate(
        "model",
        config["model"],
        choice=names(config),
        shape=setting.source.shape,
        num_outputs=setting.loss.num_outputs,
        norm=activation,
    )
    if norm["weight"]:
        with as_user_error("norm.weight"):
            instantiate("norm.weight", norm["weight"])(network)
    return network


def build_optim(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    node = dict(config["optimizer"])
    check_arguments("optimizer", node)
    for key in ("lr", "adamw_lr"):
        if key in node:
            node[key] = node[key] * lr_factor(config)
    with as_user_error("optimizer"):
        return build_optimizer(instantiate("optimizer", node), network, decay=config["decay"])


def lr_factor(config: Config) -> float:
    """The factor on the learning rate for a global batch of B against a base of B_0: 1, B / B_0 or sqrt(B / B_0)."""
    rule, base = config["lr_scaling"]["rule"], config["lr_scaling"]["base_batch_size"]
    if rule == "none":
        return 1.0
    batch = config["data"]["batch_size"]
    if batch == "full":
        raise UserError(f"lr_scaling.rule={rule} needs a number for data.batch_size, got full. Write the number")
    if rule not in ("linear", "sqrt"):
        raise UserError(f"lr_scaling.rule must be none, linear or sqrt, got {rule!r}")
    return batch / base if rule == "linear" else math.sqrt(batch / base)


def build_callbacks(config: Config) -> list[pl.Callback]:
    """Raises UserError for a callback whose direction contradicts its metric's."""
    found = []
    for name, node in (config["callbacks"] or {}).items():
        if node is not None:
            where = f"callbacks.{name}"
            callback = instantiate(where, without_mode(where, node))
            _check_direction(where, callback, config["evaluation"]["every"])
            found.append(callback)
    return found


def _check_direction(where: str, callback: pl.Callback, every: int) -> None:
    """Of Lightning's callbacks that are told a direction; the default of most is min, whatever they monitor."""
    monitor, told = getattr(callback, "monitor", None), getattr(callback, "mode", None)
    if isinstance(monitor, str) and isinstance(told, str):
        check_mode(where, monitor, told)
    if isinstance(callback, pl.callbacks.EarlyStopping) and every != 1:
        raise UserError(
            f"{where}: Lightning's EarlyStopping counts epochs, and with evaluation.every={every} not every epoch has "
            "a validation. Use callbacks=[default,early_stopping], which counts validations"
        )


def check_monitors(config: Config, loss: Loss) -> None:
    """Raises UserError where something follows a calibration error that this loss does not have."""
    if loss.confidence(torch.zeros(1, loss.num_outputs)) is not None:
        return
    named = {"evaluation.monitor": config["evaluation"]["monitor"], "optimized_metric": config["optimized_metric"]}
    for name, node in (config["callbacks"] or {}).items():
        named[f"callbacks.{name}.monitor"] = (node or {}).get("monitor")
    for key, metric in named.items():
        if isinstance(metric, str) and kind(metric) == "ece":
            raise UserError(
                f"{key}={metric}: loss={name_of(config['loss'])} gives no confidences, so its calibration error is "
                "always nan. Use the loss or the accuracy (val/loss, val/acc)"
            )


def build_data(config: Config, setting: Setting) -> ImageData:
    """Loads the data. Raises UserError where files are missing or the batch size can't be."""
    data = config["data"]
    kept = _kept.get(_key(data))
    with as_user_error("data"):
        splits = replace(kept) if kept is not None else _prepare(setting.source, data)
    [(unit, amount)] = budget(config).items()
    with as_user_error("data.batch_size"):
        return ImageData(
            splits,
            data["batch_size"],
            Budget(unit, amount),  # type: ignore[arg-type]
            schedule=setting.schedule,
            order_seed=stream(config, "order"),
            drop_last=data["drop_last"],
            workers=data["workers"],
            world_size=world_size(config),
            channels_last=config["trainer"]["channels_last"],
        )


_kept: dict[str, Splits] = {}  # of this process and of those that are forked from it
_KEPT_AT_MOST = 4
# Sources whose files are read by plain numpy: what they leave behind survives a fork.
_KEEPABLE = {f"paribus.source.{name}" for name in ("CIFAR", "Digits", "IDX", "Synthetic")}


def keep_splits(data: Config) -> None:
    """Load the data sets of a config now, for all runs of processes that are forked from this one."""
    if public_name(data["source"]["_target_"]) not in _KEEPABLE or _key(data) in _kept:
        return
    _kept[_key(data)] = _prepare(instantiate("data.source", data["source"]), data)
    while len(_kept) > _KEPT_AT_MOST:
        del _kept[next(iter(_kept))]


def _prepare(source: Source, data: Config) -> Splits:
    return prepare(source, **{key: data[key] for key in _SPLIT_KEYS})


def _key(data: Config) -> str:
    return json.dumps([os.getcwd(), data["source"], *(data[key] for key in _SPLIT_KEYS)])


def name_of(node: Config) -> str:
    return str(node["_target_"]).rsplit(".", 1)[-1].lower()


def names(config: Config) -> str:
    """model=cnn with norm=batch: what messages about a network call it."""
    norm = config["norm"]
    chosen = "+".join(name_of(norm[key]) for key in ("activation", "weight") if norm[key]) or "none"
    return f"model={name_of(config['model'])} with norm={chosen}"

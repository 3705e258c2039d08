"""Reload a recorded run, and compute its test metrics again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paribus.errors import UserError
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.task.data import ImageData
from paribus.task.evaluation import evaluate
from paribus.train import build
from paribus.train.fit import build_trainer


@dataclass
class Reloaded:
    """A recorded run: its objects, on its device, with the weights that it evaluates with (or another checkpoint's).

    precision: Lightning's plugin, whose contexts the network computes in.
    """

    config: Mapping[str, Any]
    setting: build.Setting
    data: ImageData
    network: nn.Module
    device: torch.device
    precision: Any


def reload(record: Record, store: Store, checkpoint: Path | None = None, *, double: bool = False) -> Reloaded:
    """The run of a record, in the precision that it trained in, or in float64 (on the CPU where a device has none).

    Raises UserError where config or checkpoint are missing or damaged.
    """
    folder = store.run_dir(record.id)
    config = store.config(record.id)
    setting = build.build_setting(config)
    data = build.build_data(config, setting)
    network = build.build_network(config, setting)
    path = checkpoint or folder / "checkpoints" / f"{record.evaluated}.ckpt"
    weights = load_weights(path)
    if config["trainer"]["threads"] is not None:
        torch.set_num_threads(config["trainer"]["threads"])
    single = {**config, "trainer": {**config["trainer"], "devices": 1, "num_nodes": 1, "strategy": "auto"}}
    trainer = build_trainer(single, [], [], folder)
    plugin, device = trainer.precision_plugin, trainer.strategy.root_device
    if double:
        device = torch.device("cpu") if device.type == "mps" else device
        network = network.double().to(device)
    else:
        network = plugin.convert_module(network).to(device)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path} is not a checkpoint of this run's network: {error}") from error
    if data.memory_format == torch.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = next(p.dtype for p in network.parameters())
    mixed = "mixed" in config["trainer"]["precision"] and not double
    data.place(device, torch.float32 if mixed else dtype, 0)
    return Reloaded(config, setting, data, network, device, plugin)


def evaluate_record(record: Record, store: Store, checkpoint: Path | None = None) -> dict[str, float]:
    """test/loss, test/acc, test/ece of a run, from the checkpoint that its record says, or from another one.

    Raises UserError where config or checkpoint are missing or damaged.
    """
    run = reload(record, store, checkpoint)
    with run.precision.val_step_context():
        results = evaluate(
            run.network,
            run.setting.loss,
            run.data.evaluation_batches("test", run.config["evaluation"]["batch_size"]),
            device=run.device,
            batch_statistics=run.config["evaluation"]["statistics"] == "batch",
        )
    return {f"test/{key}": value for key, value in results.items() if key in ("loss", "acc") or not math.isnan(value)}


def load_weights(path: Path) -> dict[str, Any]:
    """The network's state in a checkpoint: the weights that the run evaluates with."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if "evaluation_weights" in content:
            return content["evaluation_weights"]
        state = content["state_dict"]
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}. Was the run trained with callbacks=none?") from error
    except Exception as error:  # zip, pickle and key errors: the file is damaged or no checkpoint
        raise UserError(f"{path} is damaged or no checkpoint: {type(error).__name__}: {error}") from error
    prefix = "network."
    return {key.removeprefix(prefix): value for key, value in state.items()}

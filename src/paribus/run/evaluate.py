"""The evaluation of a recorded run: reload it and compute its test metrics again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from paribus.base import archive
from paribus.base.errors import UserError
from paribus.base.terminal import say
from paribus.config.run import Run, recorded
from paribus.config.task import LIGHTNING
from paribus.run import build
from paribus.run.data import RunData
from paribus.run.drivers import driver_of
from paribus.run.evaluation import evaluate
from paribus.run.fit import build_trainer, set_threads
from paribus.run.foreign import is_own, outside
from paribus.store.record import Record
from paribus.store.store import Store


@dataclass
class Reloaded:
    """A recorded run as it was configured, and its objects, on its device, with the weights that it evaluates with.

    With those of another checkpoint, where one was asked for.

    precision: Lightning's plugin, whose contexts the network computes in.
    """

    configured: Run
    setting: build.Setting
    data: RunData
    network: nn.Module
    device: torch.device
    precision: Any


def reload(
    record: Record, store: Store, checkpoint: Path | None = None, *, double: bool = False, trust: bool = False
) -> Reloaded:
    """The run of a record, in the precision that it trained in, or in float64 (on the CPU where a device has none).

    trust: whether what the configuration of an imported run names may be called.

    Raises UserError where config or checkpoint are missing or damaged, and for an imported run without trust.
    """
    folder = store.run_dir(record.id)
    run = reloadable(record, store, trust)
    if run.task.target == LIGHTNING:
        raise UserError(
            f"run {record.id} is of task=lightning, whose outputs and loss only its module knows: further metrics, "
            "curvature and landscape work on the tasks of Paribus"
        )
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    network = build.build_network(run, setting, pretrained=False)
    name = f"checkpoints/{record.evaluated}.ckpt"
    path = checkpoint or folder / name
    if path.exists() and checkpoint is None:
        undamaged(record, store, name)
    weights = load_weights(path)
    set_threads(run)
    single = run.but({"trainer.devices": 1, "trainer.num_nodes": 1, "trainer.strategy": "auto"})
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
    mixed = "mixed" in run.precision and not double
    data.place(device, torch.float32 if mixed else dtype, 0)
    return Reloaded(run, setting, data, network, device, plugin)


def reloadable(record: Record, store: Store, trust: bool) -> Run:
    """The configuration of a run, if it may be used and is one of ours."""
    if "imported" in record.provenance and not trust:
        raise UserError(
            f"run {record.id} was imported, and to reload it calls what its configuration names. Look at "
            f"{store.run_dir(record.id) / 'config.yaml'}, and add --trust if you know who wrote it"
        )
    undamaged(record, store, "config.yaml")
    config = store.config(record.id)
    try:
        run, gone = recorded(config)
    except (UserError, KeyError, TypeError, AttributeError) as error:
        raise _incomplete(store.run_dir(record.id) / "config.yaml", error) from error
    if not trust and not is_own(record, store) and (place := outside(run, store)):
        raise UserError(
            f"run {record.id} was not trained in {store.run_dir(record.id)}, and its configuration reads {place}. Look "
            "at config.yaml there. If you know who wrote it, add --trust, which evaluate, curvature and landscape take"
        )
    if gone:
        say(f"{record.id}: {', '.join(gone)} has no effect any more and is left out")
    return _on_a_device_of_this_machine(run, record.id)


def _on_a_device_of_this_machine(run: Run, id: str) -> Run:
    """Where a run was trained on is no part of what it is: what is lacking here is replaced by the CPU."""
    there: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if run.device not in there or there[run.device]():
        return run
    say(f"{id} was trained with trainer.accelerator={run.trainer.accelerator}, which is not here: the CPU is used")
    return run.but({"trainer.accelerator": "cpu"})


def undamaged(record: Record, store: Store, *names: str) -> None:
    """Raises UserError where files of a run are not what was recorded when it ended."""
    if damaged := store.damage(record, names):
        raise UserError(
            f"{store.run_dir(record.id) / damaged[0]} must be as it was when the run ended, and its checksum is "
            "another one: it was damaged or edited. Restore it, or train the run again"
        )


def _incomplete(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} must be the configuration of a run of Paribus, and part of it is missing or has another form "
        f"({type(error).__name__}: {error}). Only such a run can be reloaded"
    )


def evaluate_record(
    record: Record, store: Store, checkpoint: Path | None = None, *, trust: bool = False
) -> dict[str, float]:
    """test/loss, test/acc, test/ece of a run, from the checkpoint that its record says, or from another one.

    Raises UserError as `reload`.
    """
    run = reloadable(record, store, trust)
    if (driver := driver_of(run)) is not None:
        if checkpoint is None:
            undamaged(record, store, f"checkpoints/{record.evaluated}.ckpt")
        return driver.evaluate(record, store, run, checkpoint)
    reloaded = reload(record, store, checkpoint, trust=trust)
    evaluation = reloaded.configured.evaluation
    with reloaded.precision.val_step_context():
        results = evaluate(
            reloaded.network,
            reloaded.setting.task,
            reloaded.data.evaluation_batches("test", evaluation.batch_size),
            device=reloaded.device,
            batch_statistics=evaluation.statistics == "batch",
            measures=build.build_measures(reloaded.configured, reloaded.setting),
        )
    return {f"test/{key}": value for key, value in results.items() if key in ("loss", "acc") or not math.isnan(value)}


def load_weights(path: Path) -> dict[str, Any]:
    """The network's state in a checkpoint: the weights that the run evaluates with."""
    try:
        content = archive.read(path)
        if "evaluation_weights" in content:
            result: dict[str, Any] = content["evaluation_weights"]
            return result
        state: dict[str, Any] = content["state_dict"]
        if "monitor" in content:  # of the best weights: the network's alone
            return state
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}. Was the run trained with callbacks=none?") from error
    except Exception as error:  # zip, pickle and key errors: the file is damaged or no checkpoint
        raise UserError(f"{path} is damaged or not a checkpoint: {type(error).__name__}: {error}") from error
    prefix = "network."
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return own or state

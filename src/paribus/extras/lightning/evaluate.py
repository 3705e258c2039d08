"""The evaluation of a recorded run of task=lightning: its module with the kept weights, tested by Lightning."""

from __future__ import annotations

from pathlib import Path

from paribus.base import archive
from paribus.base.errors import UserError
from paribus.config.run import Run
from paribus.extras.lightning.driver import Lightning, restore, single_trainer, test
from paribus.store.record import Record
from paribus.store.store import Store


def reload_module(record: Record, store: Store, run: Run, checkpoint: Path | None) -> Lightning:
    """The module and the data module of a run, with the weights of the checkpoint that its record says, or of another.

    Raises UserError where the checkpoint is missing, damaged, or not of this module.
    """
    folder = store.run_dir(record.id) / "checkpoints"
    path = checkpoint or folder / f"{record.evaluated}.ckpt"
    if not path.exists() and checkpoint is None and record.evaluated == "best":
        path = folder / "last.ckpt"  # nothing was validated
    lightning = Lightning.of(run)
    try:
        content = archive.read(path)
        weights = content["state_dict"]
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}. Was the run trained with callbacks=none?") from error
    except Exception as error:  # zip, pickle and key errors: the file is damaged or no checkpoint
        raise UserError(f"{path} is damaged or not a checkpoint: {type(error).__name__}: {error}") from error
    if "paribus" not in content and path != folder / "last.ckpt" and (folder / "last.ckpt").exists():
        # Weights alone: whatever else the module keeps is in the other one.
        content = {**archive.read(folder / "last.ckpt"), "state_dict": weights}
    try:
        restore(lightning.parts, single_trainer(lightning, store.run_dir(record.id)), content, weights)
    except RuntimeError as error:
        raise UserError(f"{path} is not a checkpoint of this run's module: {error}") from error
    return lightning


def evaluate_module(record: Record, store: Store, run: Run, checkpoint: Path | None) -> dict[str, float]:
    """What the module logs in its test. Raises UserError as `reload_module`, and where it has no test."""
    lightning = reload_module(record, store, run, checkpoint)
    found = test(lightning, single_trainer(lightning, store.run_dir(record.id)))
    if not found:
        raise UserError(f"run {record.id} has no test: its module has no test_step, or its data no test_dataloader")
    return found

"""The Trainer of a module: Lightning's own, with the flags of the user and what Paribus decides."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError
from paribus.base.lightning_internals import leave_signals, own_arguments
from paribus.base.text import near
from paribus.config.run import Run
from paribus.extras.lightning.library import Library

# Flags that Paribus sets itself, with what to write instead.
SET = {
    **{name: f"trainer.{name}" for name in ("accelerator", "devices", "num_nodes", "strategy", "precision")},
    "deterministic": "trainer.deterministic",
    "profiler": "trainer.profiler",
    "logger": "logger=csv, or logger.NAME._target_",
    "callbacks": "callbacks.NAME._target_",
    "max_epochs": "budget.epochs",
    "max_steps": "budget.updates",
    "max_time": "budget.seconds",
    "enable_checkpointing": "callbacks=[checkpoints], or callbacks=none",
    "enable_progress_bar": "callbacks=[progress]",
    "enable_model_summary": "callbacks.summary._target_=pytorch_lightning.callbacks.ModelSummary",
    "default_root_dir": "paths.outputs",
    "fast_dev_run": "budget.updates=1, and limit_val_batches and limit_test_batches among trainer.flags",
    "num_sanity_val_steps": "nothing: a batch of each part is tried before the training",
    "plugins": "nothing: Paribus starts the processes",
    "barebones": "callbacks=none",
    "model_registry": "nothing: checkpoints lie in the folder of the run",
    "enable_autolog_hparams": "nothing: loggers get the configuration of the run",
}
UNLIMITED = -1


def check_flags(library: Library, flags: Mapping[str, Any], every: int) -> None:
    """Raises UserError for a flag that the Trainer does not take, or that Paribus sets itself."""
    parameters = inspect.signature(library.pl.Trainer).parameters
    for name in flags:
        if name in SET:
            raise UserError(f"trainer.flags.{name} is set by Paribus. Use {SET[name]}")
        if name not in parameters:
            free = [each for each in parameters if each not in SET]
            raise UserError(
                f"trainer.flags.{name}: Lightning's Trainer takes no {name}.{near(name, free)} It takes "
                f"{', '.join(free)}"
            )
    if flags.get("limit_train_batches") in (0, 0.0):
        raise UserError(
            "trainer.flags.limit_train_batches=0 would train nothing. Write a number of batches, or a share"
        )
    if "check_val_every_n_epoch" in flags and every != 1:
        raise UserError(
            f"evaluation.every={every} and trainer.flags.check_val_every_n_epoch say the same thing. Leave one out"
        )


def limits(run: Run) -> dict[str, Any]:
    """The budget as Lightning knows it. Samples and seconds are counted by our own callback."""
    unit, amount = run.length
    if unit == "epochs":
        return {"max_epochs": amount}
    return {"max_epochs": UNLIMITED, "max_steps": amount if unit == "updates" else -1}


def make_trainer(
    library: Library,
    run: Run,
    callbacks: list[Any],
    loggers: list[Any],
    folder: Path,
    *,
    checkpoint_io: Any = None,
    **changes: Any,
) -> Any:
    """The Trainer of a run. changes: arguments that differ from those of the run, for trials and tests.

    Raises UserError for flags that can't be.
    """
    own = run.trainer
    flags = {name: value for name, value in own.flags.items() if value is not None}
    check_flags(library, flags, run.evaluation.every)
    flags.setdefault("check_val_every_n_epoch", run.evaluation.every)
    misconfiguration = library.get("utilities.exceptions.MisconfigurationException")
    given = {
        "accelerator": own.accelerator,
        "devices": own.devices,
        "num_nodes": own.num_nodes,
        "strategy": own.strategy,
        "deterministic": own.deterministic,
        "profiler": own.profiler,
        "plugins": [library.environment(), *([checkpoint_io] if checkpoint_io is not None else [])],
        "precision": own.precision,
        "logger": loggers or False,
        "callbacks": callbacks,
        "enable_checkpointing": any(isinstance(each, library.pl.callbacks.Checkpoint) for each in callbacks),
        "enable_progress_bar": any(isinstance(each, library.pl.callbacks.ProgressBar) for each in callbacks),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": str(folder),
        **limits(run),
        **flags,
        **changes,
    }
    if own.precision == "16-mixed" and own.accelerator == "cpu":
        # Lightning would train in bf16-mixed on a CPU, under the name of the other.
        given["plugins"].append(library.get("plugins.MixedPrecision")("16-mixed", run.device))
        del given["precision"]
    try:
        with own_arguments():
            trainer = library.pl.Trainer(**given)
    except (misconfiguration, RuntimeError, ValueError, TypeError) as error:
        where = "trainer.flags" if flags.keys() - {"check_val_every_n_epoch"} else "trainer"
        raise UserError(f"{where}: {error} Correct the flag, or use trainer=cpu where the device is missing") from error
    leave_signals(trainer)
    return trainer

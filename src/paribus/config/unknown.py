"""The message for a key that nothing reads: the Paribus form of a habit from elsewhere, or the nearest names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from paribus.base.typed import typed

_RESUME = (
    "to resume a killed run, give the same command again; to start from other weights, give your model an argument for "
    "their file"
)
# What users of Lightning, of lightning-hydra-template and of scripts write -> what it is here.
HABITS = {
    "lr": "optimizer.lr",
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "momentum": "optimizer.momentum",
    "batch_size": "data.batch_size",
    "epochs": "budget.epochs",
    "max_epochs": "budget.epochs",
    "min_epochs": "budget.epochs",
    "num_epochs": "budget.epochs",
    "max_steps": "budget.updates",
    "min_steps": "budget.updates",
    "steps": "budget.updates",
    "max_time": "budget.seconds",
    "gradient_clip_val": "clip.norm",
    "gradient_clip_algorithm": "clip.norm or clip.value",
    "accumulate_grad_batches": "trainer.accumulate",
    "check_val_every_n_epoch": "evaluation.every",
    "val_check_interval": "evaluation.every",
    "limit_train_batches": "data.subset",
    "fast_dev_run": "debug=fdr",
    "overfit_batches": "debug=overfit",
    "sync_batchnorm": "norm=sync_batch",
    "gpus": "trainer=gpu trainer.devices",
    "num_workers": "data.workers",
    "data_dir": "paths.data",
    "output_dir": "paths.outputs",
    "log_dir": "paths.outputs",
    "train_val_test_split": "data.validation",
    "augment": "augmentation=OPTION",
    "monitor": "evaluation.monitor",
    "dropout": "model.dropout",
    "num_sanity_val_steps": "",
    "enable_progress_bar": "callbacks=[checkpoints] in place of callbacks=[default]",
    "enable_checkpointing": "callbacks=OPTION",
    "task_name": "tags=[NAME]",
    "name": "tags=[NAME]",
}
# Those whose answer is no key.
ANSWERS = {
    "ckpt_path": f"{_RESUME}",
    "resume": f"{_RESUME}",
    "resume_from_checkpoint": f"{_RESUME}",
    "train": "every run trains unless it has a record; paribus evaluate RUN tests its weights again",
    "test": "every run is tested at its end; paribus evaluate RUN tests its weights again",
    "benchmark": "torch decides this",
}


def unknown(key: str, known: Sequence[str]) -> str:
    """What to say of a dotted key that is not among the known ones."""
    if "@" in key.split(".", 1)[0]:
        return (
            f"{key} is no place of the configuration. A file of conf/ablation begins with the line `# @package "
            "_global_`, and its defaults have a slash: - override /task: OPTION"
        )
    leaf = key.rsplit(".", 1)[-1]
    head = key.split(".", 1)[0]
    said = f"{key} is not a key of the configuration: nothing reads it."
    habit = HABITS.get(leaf, "")
    if answer := ANSWERS.get(leaf if key.startswith("trainer.") else head):
        return f"{said} {answer[0].upper()}{answer[1:]}"
    if habit and habit != key:
        form = habit if "=" in habit and not habit.endswith("devices") else f"{habit}=VALUE"
        return f"{said} Write {form}"
    near = nearest(key, known)
    said += f" Did you mean {' or '.join(near)}?" if near else ""
    if "." not in key:
        return f"{said} {variables(key)}"
    return said if near else f"{said} Known here: {', '.join(known)}"


def variables(name: str) -> str:
    """Where a value belongs that nothing reads but interpolations."""
    return f"Values that only interpolations read belong under vars: {typed(['vars', name], 'VALUE', '+')}"


def nearest(key: str, known: Sequence[str]) -> list[str]:
    """The known keys beside it that look alike, else those elsewhere with its name, else any that look alike."""
    parent, _, leaf = key.rpartition(".")
    known = [each for each in known if each not in (key, parent)]
    beside = {name: each for each in known for head, _, name in [each.rpartition(".")] if head == parent}
    if parent and (alike := difflib.get_close_matches(leaf, beside, n=2, cutoff=0.6)):
        return [beside[name] for name in alike]
    if same := [each for each in known if each.rpartition(".")[2] == leaf]:
        return same[:3]
    return difflib.get_close_matches(key, known, n=3, cutoff=0.6)

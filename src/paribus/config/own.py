"""Sections that a run of task=lightning leaves to its module: they have no effect on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paribus.base.errors import UserError
from paribus.config.dotted import at
from paribus.config.nodes import name_of
from paribus.config.sections import Budget, Data, Norm, Trainer
from paribus.config.task import LIGHTNING, Task

OWN = "paribus.own"  # the target of a section that is not chosen
OWN_NORM = "paribus.norm.own"

# Keys that only tasks of Paribus read: key -> (the value that means nothing, what to write instead).
_UNREAD: Mapping[str, tuple[Any, str]] = {
    "clip.norm": (None, "+trainer.flags.gradient_clip_val=VALUE"),
    "clip.value": (None, "+trainer.flags.gradient_clip_val=VALUE +trainer.flags.gradient_clip_algorithm=value"),
    "lr_scaling.rule": ("none", "the learning rate itself"),
    "evaluation.statistics": ("moving", "evaluation.statistics=moving"),
    "init.weights": (None, "the file in the module's constructor, as an argument of its own"),
    "init.scale": (1.0, "another initialisation in the module's constructor"),
    "freeze": (None, "requires_grad_(False) in the module"),
    "groups": (None, "parameter groups in configure_optimizers of the module"),
    "trainer.accumulate": (1, "+trainer.flags.accumulate_grad_batches=NUMBER"),
    "trainer.compile": (False, "torch.compile in configure_model of the module"),
    "trainer.channels_last": (False, "the memory format in the module"),
}


def own_node() -> dict[str, Any]:
    """The section of a group that is not chosen."""
    return {"_target_": OWN}


def own_data() -> Data:
    """The section `data` where the task has data of its own."""
    return Data(
        source=own_node(),
        validation=1,
        split_seed=0,
        subset=None,
        label_noise=0.0,
        noise_seed=0,
        standardize=False,
        drop_last=False,
        resident=False,
        workers=0,
        epochs=1,
        batch_size=1,
    )


def is_own(node: Any) -> bool:
    """Whether a section is left to the task."""
    return isinstance(node, Mapping) and node.get("_target_") == OWN


def check_sections(
    task: Task,
    sections: Mapping[str, Mapping[str, Any]],
    norm: Norm,
    trainer: Trainer,
    budget: Budget,
    resolved: Mapping[str, Any],
) -> None:
    """Raises UserError for a section that is missing, or for one that has no effect.

    sections: the nodes that can be left to the task. resolved: what all of them were parsed from.
    """
    if task.target != LIGHTNING:
        if missing := next((name for name, node in sections.items() if is_own(node)), None):
            raise UserError(f"{missing} is missing and has no default. Give {missing}, or leave out ~{missing}")
        if trainer.flags:
            flag = next(iter(trainer.flags))
            raise UserError(f"trainer.flags.{flag} is for task=lightning, where Lightning trains. Leave it out")
        return
    for name in ("data", "augmentation", "model", "loss"):
        if not is_own(node := sections[name]):
            raise UserError(
                f"{name}={name_of(node)} has no effect on task=lightning, whose module and data module have their own. "
                f"Leave {name} out, and write the arguments of these classes: task.module.NAME, task.datamodule.NAME"
            )
    for key, (without, instead) in _UNREAD.items():
        if (given := at(resolved, key, without)) != without:
            raise UserError(f"{key}={given} has no effect on task=lightning. Use {instead}")
    for name, example in (("module", "my.lit.Lit"), ("datamodule", "my.lit.Data")):
        part = task.node.get(name)
        if name == "datamodule" and part is None:
            continue
        if not isinstance(part, Mapping) or "_target_" not in part:
            raise UserError(
                f"task.{name} must name a class and its arguments, got {part!r}. Write in conf/task/NAME.yaml: "
                f"{name}: {{_target_: {example}}}"
            )
    if known := [key for key in task.node if key not in ("_target_", "module", "datamodule")]:
        raise UserError(f"task.{known[0]} is no key of task=lightning, which has module, datamodule, metrics, monitor")
    if all(amount is None for amount in vars(budget).values()):
        raise UserError("task=lightning has no length of its own, and no budget is given. Write budget.epochs=10, say")

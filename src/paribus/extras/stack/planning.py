"""Stacks: the missing runs that can be trained together, as one program, and why the others can't.

Runs share a program when they differ only in what a replica can have for itself: seeds, optimizer, schedule, clipping,
weight decay, the scaling of the rate, and losses that read the same outputs. How many go together is decided where they
are trained, by a measurement; what has been measured is read here, so that runs which are faster alone are not stacked.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.ablation.cells import Cell
from paribus.base.errors import UserError
from paribus.config.nodes import class_of, target_of, targets
from paribus.config.run import Run
from paribus.config.targets import TARGETS
from paribus.config.task import LIGHTNING

MOST = 256  # members of one job: each holds a lock and a history
FINER = 3  # jobs to a slot, where programs differ,
LARGE = 16  # of so many members at least: on a CPU larger stacks gain little over these
LONELY = "no other missing run has the same program"
OWN = ("seeds", "repetition", "optimizer", "scheduler", "clip", "decay", "lr_scaling", "loss")
_LABELS = ("stack", "members", "seed", "group", "arm", "tags", "ablation", "optimized_metric", "hydra", "vars")
# Classes and functions are known by their public names (`targets`).
# Schedules that are functions of the step alone: they have no state, observe nothing and leave the batch size alone.
_CURVES = {
    *(f"paribus.scheduler.{name}" for name in ("Constant", "Cosine", "CosineRestarts", "Exponential", "InverseSqrt")),
    *(f"paribus.scheduler.{name}" for name in ("MultiStep", "OneCycle", "Polynomial", "Step", "WSD")),
    *(f"torch.optim.lr_scheduler.{name}LR" for name in ("Step", "MultiStep", "Constant", "Linear", "Exponential")),
    *(f"torch.optim.lr_scheduler.{name}LR" for name in ("Polynomial", "CosineAnnealing", "Cyclic", "OneCycle")),
    *(
        f"torch.optim.lr_scheduler.{name}"
        for name in ("CosineAnnealingWarmRestarts", "SequentialLR", "ChainedScheduler")
    ),
}
_BATCH_GROWTH = "paribus.scheduler.BatchGrowth"  # the same for all members: they share the size of the batch
_PLATEAUS = {"paribus.scheduler.Plateau", "torch.optim.lr_scheduler.ReduceLROnPlateau"}
_EARLY_STOPPING = {"paribus.callback.EarlyStopping", "pytorch_lightning.callbacks.EarlyStopping"}
# Callbacks that a stack has a form of its own for.
_CALLBACKS = {
    f"paribus.callback.{name}" for name in ("Checkpoints", "Progress", "EMA", "GradientMonitor", "LearningRateMonitor")
}
# Observers of one network with an optimizer, a data order and a clock of its own; the members of a stack share those.
_PROBES = {f"paribus.callback.{name}" for name in ("Sharpness", "NoiseScale", "GradientCosine", "Plateau", "Snapshots")}
# Losses that read one output for each class.
_LOGIT_LOSSES = {f"paribus.loss.{name}" for name in ("CrossEntropy", "SquaredError", "SoftmaxSquaredError")}


@dataclass(frozen=True)
class Group:
    """Cells of one job. reason: why a single cell goes alone."""

    cells: tuple[Cell, ...]
    reason: str | None = None


def stacks(
    cells: Sequence[Cell],
    stack: object,
    slots: int = 1,
    measured: Callable[[str], int | None] = lambda key: None,
    refused: Callable[[str], str | None] = lambda key: None,
) -> list[Group]:
    """The jobs for `cells`, in their order; every cell is in one of them.

    stack: auto, off, or the largest number of cells to a job.
    slots: jobs that run at a time; as many stacks are made at least, where there are cells enough.
    measured: program -> how many of its runs go together best, as far as it has been measured.
    refused: program -> why a stack of its runs was found to train otherwise than they do alone.

    Raises UserError for a `stack` that is none of these.
    """
    limit = checked(stack)
    if limit == 1:
        return [Group((cell,), "stack=off" if stack == "off" else "stack=1") for cell in cells]
    together: dict[str, list[Cell]] = {}
    for cell in cells:
        reason = alone_because(cell.run)
        together.setdefault(f"alone {cell.id}" if reason else program(cell.run), []).append(cell)
    groups: list[Group] = []
    for key, members in together.items():
        if len(members) == 1:
            reason = alone_because(members[0].run) or LONELY
            groups.append(Group((members[0],), reason))
            continue
        if (refusal := refused(key)) is not None:
            groups += [Group((cell,), refusal) for cell in members]
            continue
        best = measured(key) if stack == "auto" else None
        if best == 1:
            reason = "a measurement on this machine shows that these runs are faster one by one"
            groups += [Group((cell,), reason) for cell in members]
            continue
        # A program has the share of the slots that it has of the runs; many small programs fill them by themselves.
        # Where there are several, one may take a hundred times as long as another: its parts keep the slots busy.
        share = slots * len(members) / len(cells)
        several = len(together) > 1 and members[0].run.device == "cpu"
        finer = min(round(FINER * share), len(members) // LARGE) if several else 1
        parts = max(min(round(share), len(members) // 2), finer, -(-len(members) // min(limit, MOST, best or MOST)), 1)
        bounds = [round(part * len(members) / parts) for part in range(parts + 1)]
        groups += [Group(tuple(members[start:end])) for start, end in itertools.pairwise(bounds)]
    order = {cell.id: number for number, cell in enumerate(cells)}
    return sorted(groups, key=lambda group: order[group.cells[0].id])


def checked(stack: object) -> int:
    """The largest number of runs to a job that `stack` allows. Raises UserError."""
    if stack == "auto":
        return MOST
    if stack == "off" or stack is False:  # YAML reads off as false
        return 1
    if isinstance(stack, int) and not isinstance(stack, bool) and stack >= 1:
        return stack
    raise UserError(f"stack must be auto, off or a number of runs, got {stack!r}. Try stack=auto")


def alone_because(run: Run) -> str | None:
    """Why a run can't be part of a stack; None if it can."""
    if run.task.target == LIGHTNING:
        return "task=lightning: Lightning trains one module at a time"
    trainer = run.trainer
    schedule = target_of(run.scheduler)
    unknown = [each for each in targets(run.scheduler) if each not in _CURVES]
    if run.processes > 1 or trainer.strategy != "auto":
        return f"trainer.strategy={trainer.strategy}: a run of several processes uses the devices alone"
    if schedule in _PLATEAUS:
        name = class_of(run.scheduler).lower()
        return f"scheduler={name}: its rate follows its own validation loss, which is a state outside the program"
    if unknown and schedule != _BATCH_GROWTH:
        return f"scheduler: {unknown[0]} may depend on the run; a stack supports only the curves of Paribus and torch"
    if run.length.unit == "seconds":
        return "budget.seconds: the runs of a stack share the clock"
    if run.precision.startswith("16-"):
        return f"trainer.precision={run.precision}: half precision scales all losses of a program by one factor"
    if run.precision == "bf16-true":
        return "trainer.precision=bf16-true: only a run by itself notices that rounding loses its steps"
    if trainer.channels_last:
        return "trainer.channels_last=true: a stack has a memory format of its own"
    if trainer.profiler:
        return f"trainer.profiler={trainer.profiler}: a profile shows one run"
    if (statistics := run.evaluation.statistics) != "moving":
        return f"evaluation.statistics={statistics}: a stack evaluates with moving statistics only"
    if run.freeze.for_a_while:
        return "freeze: the runs of a stack have no parameters that are frozen for a while"
    if run.data.resident is False:
        return "data.resident=false: workers read the samples in one order"
    for name, node in run.callback_nodes.items():
        callback, *within = targets(node)
        if callback in _EARLY_STOPPING:
            return f"callbacks.{name}: runs that stop early do not end together"
        if callback in _PROBES:
            return f"callbacks.{name}: it measures a single network and limits its time by that of the run"
        if callback not in _CALLBACKS or within:
            return (
                f"callbacks.{name}: {', '.join([callback, *within])} may change the run in a way "
                "that a stack can't repeat"
            )
    return None


def program(run: Run) -> str:
    """Equal for runs that can share a program: a hash of all but what a replica has for itself."""
    shared = {key: value for key, value in run.resolved.items() if key not in (*OWN, *_LABELS)}
    shared["loss"] = "one output for each class" if target_of(run.loss) in _LOGIT_LOSSES else run.loss
    if target_of(run.scheduler) == _BATCH_GROWTH:
        shared["scheduler"] = run.scheduler
    # What is found out about a stranger's optimizer or loss must not be held against runs that do without.
    if strangers := sorted({*foreign(run.optimizer), *foreign(run.loss)}):
        shared["foreign"] = strangers
    text = json.dumps(shared, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def foreign(node: Any) -> list[str]:
    """The targets within a node whose code the test suite does not train in stacks: those without a public name."""
    return [target for target in targets(node) if target not in TARGETS]


def foreign_parts(run: Run) -> list[str]:
    """What a stack would call that is not ours: such a stack is compared with its single runs before it trains."""
    called = (run.model, *run.norm.nodes, run.loss, run.augmentation, run.optimizer)
    return sorted({target for node in called for target in foreign(node)})


def reasons(groups: Sequence[Group]) -> dict[str, list[Cell]]:
    """Why cells go alone -> those cells, for `paribus plan`."""
    found: dict[str, list[Cell]] = {}
    for group in groups:
        if group.reason is not None:
            found.setdefault(group.reason, []).append(group.cells[0])
    return found

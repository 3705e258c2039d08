"""The objects of one run, built from its configuration. Mistakes in a config are reported here."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import nn

from paribus.adapters.losses import loss_of
from paribus.adapters.outputs import with_tensors
from paribus.adapters.pretrained import load_initial
from paribus.adapters.schedules import partials, schedule_of
from paribus.base.errors import UserError
from paribus.base.lightning_hooks import check_hooks
from paribus.base.metrics import kind
from paribus.config.modes import check_mode, without_mode
from paribus.config.nodes import interval_of, monitored, name_of, scaled, target_of
from paribus.config.run import Run
from paribus.config.sections import Data
from paribus.datasets.prepare import Splits, prepare
from paribus.datasets.seeds import mix
from paribus.datasets.source import Form, Source, form_of
from paribus.run.data import RunData
from paribus.run.frozen import freeze
from paribus.run.instantiate import arguments_of, asked_for, check_arguments, instantiate
from paribus.run.network import arguments, convert_norms, scale_weights
from paribus.run.position import Budget
from paribus.run.targets import locate
from paribus.tasks.measures import Measures
from paribus.tasks.task import Task
from paribus.techniques.optimizers.build import build_optimizer
from paribus.techniques.optimizers.width import width_factors
from paribus.techniques.schedules import Schedule


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
    form: Form
    loss: Any
    augmentation: Any
    task: Task
    schedule: Schedule


def build_setting(run: Run) -> Setting:
    """Raises UserError for a source that contradicts itself, and an augmentation that does not go with its samples."""
    source: Source = instantiate("data.source", run.data.source)
    with as_user_error("data.source"):
        form = form_of(source)
    check_targets(run, form)
    augmentation = instantiate("augmentation", run.augmentation)
    check_augmentation(run, form, augmentation)
    offered = asked_for("loss", run.loss, num_classes=form.num_classes)
    if offered and form.num_classes is None:
        raise UserError(
            f"loss={name_of(run.loss)} is a loss of classes, and data.source={name_of(run.data.source)} has "
            f"kind_of_y={form.kind_of_y!r}. Use another, or leave the choice to the task"
        )
    function = "target" in arguments_of("loss", run.loss)  # not what makes a loss, but the loss itself
    made = instantiate("loss", {**run.loss, "_partial_": True} if function else run.loss, **offered)
    with as_user_error(f"loss={name_of(run.loss)}"):
        loss = loss_of(made, form.of_a_place, run.trainer.accumulate * run.processes)
    task: Task = instantiate("task", run.task.node, form=form, loss=loss, augmentation=augmentation)
    return Setting(source, form, loss, augmentation, task, build_schedule(run))


def build_schedule(run: Run) -> Schedule:
    """Raises UserError for what is neither a schedule of Paribus nor takes an optimizer, as those of torch do."""
    of_torch = asked_for("scheduler", run.scheduler, optimizer=None)
    made = instantiate("scheduler", partials(run.scheduler) if of_torch else run.scheduler)
    with as_user_error("scheduler"):
        mode = run.declared.of(monitored(run.scheduler) or "val/loss").mode
        return schedule_of(made, interval_of(run.scheduler), mode)


def check_targets(run: Run, form: Form) -> None:
    """Raises UserError where a task says what it can learn, and the targets are of another kind."""
    kinds = getattr(locate("task", run.task.target), "kinds_of_y", None)
    if kinds is not None and form.kind_of_y not in kinds:
        tasks = {"class": "classification", "number": "regression", "labels": "multilabel", "tokens": "language"}
        raise UserError(
            f"task={name_of(run.task.node)} learns targets of the kind {' or '.join(kinds)}, and "
            f"data.source={name_of(run.data.source)} has kind_of_y={form.kind_of_y!r}. Use task={tasks[form.kind_of_y]}"
        )


def check_augmentation(run: Run, form: Form, augmentation: Any) -> None:
    """Raises UserError where an augmentation says what it can change, and samples or targets are of another kind."""
    if form.kind_of_y not in (kinds := getattr(augmentation, "kinds_of_y", (form.kind_of_y,))):
        raise UserError(
            f"augmentation={name_of(run.augmentation)} changes targets of the kind {' or '.join(kinds)}, and "
            f"data.source={name_of(run.data.source)} has kind_of_y={form.kind_of_y!r}. Use augmentation=none, or one "
            "that keeps the targets (crop_flip, cutout) or mixes numbers (mixup)"
        )
    kinds = getattr(augmentation, "kinds_of_x", None)
    if kinds is not None and (form.has_tokens or form.kind_of_x not in kinds):
        fitting = "none" if form.has_tokens else "none or augmentation=mixup"
        raise UserError(
            f"augmentation={name_of(run.augmentation)} changes {' or '.join(f'{kind}s' for kind in kinds)}"
            f"{' of numbers' if 'sequence' in kinds else ''}, and data.source={name_of(run.data.source)} has {form}. "
            f"Use augmentation={fitting}"
        )


def try_augmentation(run: Run, setting: Setting) -> None:
    """Change a batch, and take the loss of what comes out. Raises UserError with what fails, for one of any class."""
    if not setting.task.augments:
        return
    x, y = setting.form.zeros(8)
    try:
        changed, target = setting.task.augment(x, y, torch.Generator().manual_seed(0))
        if changed.shape != x.shape:
            raise ValueError(f"samples of the shape {tuple(changed.shape)} came out")
        setting.task.loss(torch.zeros(8, *setting.form.places, setting.task.num_outputs), target)
    except Exception as error:
        raise UserError(
            f"augmentation={name_of(run.augmentation)} must turn samples of the shape {tuple(x.shape)} and targets of "
            f"the shape {tuple(y.shape)}, kind_of_y={setting.form.kind_of_y!r}, into what the task can learn. "
            f"{type(error).__name__}: {str(error).rstrip('.')}. Use another one, or augmentation=none"
        ) from error


def stream(run: Run, name: Literal["init", "order", "augmentation"]) -> int:
    """The seed of one of the three random streams: seeds.NAME, mixed with `repetition` unless that is 0."""
    seed = {"init": run.seeds.init, "order": run.seeds.order, "augmentation": run.seeds.augmentation}[name]
    return mix(seed, run.repetition) if run.repetition else seed


def build_network(run: Run, setting: Setting, *, pretrained: bool = True) -> nn.Module:
    """The network in its initial state, a function of seeds.init, init.scale and of the file init.weights alone.

    Arguments that a class does not ask for are not passed, so any torch.nn.Module is a model.

    pretrained: whether the file is read; not where other weights follow.
    """
    # torch.manual_seed() would also seed every backend that the machine might have, for 3 ms; this is drawn on the CPU.
    torch.default_generator.manual_seed(mix(stream(run, "init"), 0))
    activation = instantiate("norm", run.norm.activation) if run.norm.activation else None
    told = arguments(run, setting.form, setting.task.num_outputs, activation)
    network = with_tensors(instantiate("model", run.model, choice=names(run), **told))
    if "norm" not in told:
        with as_user_error(names(run)):
            convert_norms(run, network, activation)
    with as_user_error("init.scale"):  # before weight norm, whose lengths are those of the weights it finds
        scale_weights(network, run.init.scale)
    if run.norm.weight:
        with as_user_error("norm.weight"):
            instantiate("norm.weight", run.norm.weight)(network)
    if pretrained:
        load_initial(network, run.init)
    with as_user_error("freeze"):
        freeze(network, run.freeze)
    return network


def build_measures(run: Run, setting: Setting) -> Measures | None:
    """What is measured beside the task's own metrics; None where nothing is asked for.

    Raises UserError for a metric that can't be made, or that can't take the task's predictions.
    """
    if not run.measures:
        return None
    form, made = setting.form, {}
    number = {"labels": "num_labels", "number": "num_outputs"}.get(form.kind_of_y, "num_classes")
    offered: dict[str, Any] = {number: form.num_outputs}
    if form.kind_of_y != "number":
        offered["task"] = "multilabel" if form.kind_of_y == "labels" else "multiclass"
    for name, node in run.measures.items():
        where = f"metrics.{name}"
        lacking = {each: needed for each, needed in arguments_of(where, node).items() if each not in node}
        # An argument `task` with a default is not torchmetrics'.
        filled = {key: offered[key] for key in {*offered} & {*lacking} if key != "task" or lacking[key]}
        if needed := [
            each for each in ("num_classes", "num_labels", "task") if lacking.get(each) and each not in filled
        ]:
            raise UserError(
                f"{where} needs {needed[0]}, and data.source={name_of(run.data.source)} has "
                f"kind_of_y={form.kind_of_y!r}. Use a metric of such targets"
            )
        made[name] = instantiate(where, node, **filled)
    measures = Measures(made, setting.task.predictions, form.num_outputs if form.kind_of_y == "number" else 1)
    _, y = form.zeros(8)
    places = (8, *form.places, setting.task.num_outputs)
    outputs = torch.linspace(-1, 1, math.prod(places)).sin().view(places)
    try:
        measures.rehearse(outputs, y)
    except ValueError as error:
        (given, _), why = setting.task.predictions(outputs, y), ""
        what = "predicted numbers" if form.num_classes is None else "probabilities"
        if not given.is_floating_point():
            what, why = "predicted classes", f" (loss={name_of(run.loss)} gives no probabilities)"
        raise UserError(
            f"{str(error).rstrip('.')}. It is given {what} of the shape {tuple(given.shape)}{why}, and targets of the "
            f"shape {tuple(y.shape)}. Choose another metric or other arguments"
        ) from error
    return measures


def build_optim(run: Run, network: nn.Module) -> torch.optim.Optimizer:
    check_arguments("optimizer", run.optimizer)
    node = scaled(run.optimizer, lr_factor(run)) | {"_partial_": True}
    if run.freeze.for_a_while and node.get("fused"):
        node["fused"] = False  # torch's fused kernels want the momentum of all parameters, or of none
    with as_user_error("optimizer"):
        groups = {pattern: scaled(options, lr_factor(run)) for pattern, options in run.groups.options.items()}
        make = instantiate("optimizer", node)
        rates = None
        if run.lr_scaling.rule == "width":
            rates = width_factors(network, _of_base_width(run), getattr(make, "func", make).__name__)
        return build_optimizer(make, network, decay=run.decay, groups=groups, rates=rates)


def _of_base_width(run: Run) -> nn.Module:
    """The network of a run in the base width, on the meta device. Raises UserError for a model without a width."""
    if "width" not in run.model:
        raise UserError(
            "lr_scaling.rule=width compares model.width with lr_scaling.base_width, and "
            f"model={name_of(run.model)} has no option width. Use another model, or lr_scaling.rule=none"
        )
    base = run.but({"model.width": run.lr_scaling.base_width})
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return build_network(base, build_setting(base), pretrained=False)


def lr_factor(run: Run) -> float:
    """The factor on the learning rate for a global batch of B against a base of B_0: 1, B / B_0 or sqrt(B / B_0)."""
    rule, base = run.lr_scaling.rule, run.lr_scaling.base_batch_size
    if rule in ("none", "width"):
        return 1.0
    batch = run.data.batch_size
    if batch == "full":
        raise UserError(f"lr_scaling.rule={rule} needs a number for data.batch_size, got full. Write the number")
    return batch / base if rule == "linear" else math.sqrt(batch / base)


def build_callbacks(run: Run) -> list[pl.Callback]:
    """Raises UserError for a callback whose direction contradicts its metric's."""
    found = []
    for name, node in run.callback_nodes.items():
        where = f"callbacks.{name}"
        callback = instantiate(where, without_mode(where, node))
        _check_direction(where, callback, run)
        check_hooks(where, callback, bool(run.logger_nodes))
        found.append(callback)
    return found


def _check_direction(where: str, callback: pl.Callback, run: Run) -> None:
    """Of Lightning's callbacks that are told a direction; the default of most is min, whatever they monitor."""
    monitor, told = getattr(callback, "monitor", None), getattr(callback, "mode", None)
    if isinstance(monitor, str) and isinstance(told, str):
        check_mode(where, run.declared.of(monitor), monitor, told)
    if isinstance(callback, pl.callbacks.EarlyStopping) and (every := run.evaluation.every) != 1:
        raise UserError(
            f"{where}: Lightning's EarlyStopping counts epochs, and with evaluation.every={every} not every epoch has "
            "a validation. Use callbacks=[default,early_stopping], which counts validations"
        )


def check_monitors(run: Run, task: Task) -> None:
    """Raises UserError where something follows a metric that this task does not have."""
    named: dict[str, str | None] = {
        "evaluation.monitor": run.evaluation.monitor,
        "optimized_metric": run.optimized_metric,
        "scheduler.monitor": monitored(run.scheduler),
    }
    named |= {f"callbacks.{name}.monitor": monitored(node) for name, node in run.callback_nodes.items()}
    for key, metric in named.items():
        if metric is not None and (reason := task.unavailable(kind(metric))) is not None:
            raise UserError(f"{key}={metric}, with loss={name_of(run.loss)}: {reason}")


def build_data(run: Run, setting: Setting) -> RunData:
    """Loads the data. Raises UserError where files are missing or the batch size can't be."""
    data = run.data
    if run.trainer.channels_last and setting.form.kind_of_x != "image":
        raise UserError(
            f"trainer.channels_last=true is a memory layout of images, and data.source={name_of(data.source)} has "
            f"{setting.form}. Leave it out"
        )
    kept = _kept.get(_key(data))
    with as_user_error("data"):
        splits = replace(kept) if kept is not None else _prepare(setting.source, data)
    setting.task.prepare(splits)
    with as_user_error("data.batch_size"):
        return RunData(
            splits,
            data.batch_size,
            Budget(*run.length),
            schedule=setting.schedule,
            order_seed=stream(run, "order"),
            drop_last=data.drop_last,
            workers=data.workers,
            world_size=run.processes,
            channels_last=run.trainer.channels_last,
        )


_kept: dict[str, Splits] = {}  # of this process and of those that are forked from it
_KEPT_AT_MOST = 4
# Sources whose files are read by plain numpy: what they leave behind survives a fork.
_KEEPABLE = {
    f"paribus.source.{name}"
    for name in (
        *("Arrays", "BreastCancer", "CIFAR", "CSV", "Copy", "Diabetes", "Digits", "IDX", "Markov", "Modular"),
        *("Parity", "Recall", "Sort", "Synthetic", "Text", "Wine", "Zipf"),
    )
}


def keep_splits(data: Data) -> None:
    """Load the data sets of a config now, for all runs of processes that are forked from this one."""
    if target_of(data.source) not in _KEEPABLE or _key(data) in _kept:
        return
    _kept[_key(data)] = _prepare(instantiate("data.source", data.source), data)
    while len(_kept) > _KEPT_AT_MOST:
        del _kept[next(iter(_kept))]


def _prepare(source: Source, data: Data) -> Splits:
    return prepare(
        source,
        validation=data.validation,
        split_seed=data.split_seed,
        test=data.test,
        subset=data.subset,
        label_noise=data.label_noise,
        noise_seed=data.noise_seed,
        standardize=data.standardize,
        resident=data.resident,
    )


def _key(data: Data) -> str:
    """Equal where `_prepare` gives equal splits."""
    parts = (data.validation, data.split_seed, data.subset, data.label_noise, data.noise_seed, data.standardize)
    return json.dumps([os.getcwd(), data.source, *parts, data.resident, data.test])


def names(run: Run) -> str:
    """model=cnn with norm=batch: what messages about a network call it."""
    return f"model={name_of(run.model)} with norm={'+'.join(map(name_of, run.norm.nodes)) or 'none'}"

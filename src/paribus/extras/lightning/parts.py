"""The module and the data module of a run of task=lightning, made from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paribus.adapters.schedules import partials
from paribus.base.callables import parameters_of
from paribus.base.errors import UserError
from paribus.config.nodes import interval_of, name_of, target_of
from paribus.config.own import OWN_NORM, is_own
from paribus.config.run import Run
from paribus.extras.lightning.factories import OptimizerFactory, ScheduleFactory, SchedulerFactory
from paribus.extras.lightning.library import Library, library_of
from paribus.extras.lightning.streams import Streams
from paribus.run.instantiate import asked_for, instantiate
from paribus.run.targets import find
from paribus.techniques.norms.convert import replace_norms


@dataclass
class Parts:
    """The objects of a run. source: whichever of module and data module has the training loader."""

    library: Library
    module: Any
    datamodule: Any
    optimizer: OptimizerFactory | None = None
    scheduler: ScheduleFactory | SchedulerFactory | None = None
    converted: list[str] = field(default_factory=list)

    @property
    def source(self) -> Any:
        return self.module if self.datamodule is None else self.datamodule


def make_parts(run: Run, streams: Streams) -> Parts:
    """Module and data module. Raises UserError for arguments that their constructors do not take."""
    node: Mapping[str, Any] = run.task.node["module"]
    optimizer, scheduler = _factories(run, node)
    made: dict[str, Any] = {"optimizer": optimizer, "scheduler": scheduler}
    given = {name: each for name, each in made.items() if each is not None}
    streams.module()
    module = instantiate("task.module", node, **given)
    library = library_of(f"task.module ({node['_target_']})", module)
    if optimizer is not None:
        optimizer.module = module
    converted = _convert_norms(run, module)
    datamodule = None
    if (data := run.task.node.get("datamodule")) is not None:
        streams.datamodule()
        datamodule = instantiate("task.datamodule", data)
        where = f"task.datamodule ({data['_target_']})"
        if library_of(where, datamodule, "LightningDataModule") != library:
            raise UserError(
                f"{where} must be of the same package as the module, {library.pl.__name__}. Import Lightning by one "
                "name in both"
            )
    streams.datamodule()  # setup draws from here
    return Parts(library, module, datamodule, optimizer, scheduler, converted)


def _factories(
    run: Run, node: Mapping[str, Any]
) -> tuple[OptimizerFactory | None, ScheduleFactory | SchedulerFactory | None]:
    """What the groups optimizer and scheduler give to the constructor; None for one that is not chosen."""
    chosen = {name: given for name, given in (("optimizer", run.optimizer), ("scheduler", run.scheduler))
              if not is_own(given)}  # fmt: skip
    if run.decay != "weights" and "optimizer" not in chosen:
        raise UserError(
            f"decay={run.decay} has no effect on task=lightning, unless a group gives the optimizer. Choose one "
            "(optimizer=adamw), or leave decay out"
        )
    if not chosen:
        return None, None
    target = find("task.module", node["_target_"])
    parameters = parameters_of(target)
    for name, given in chosen.items():
        if name in node:
            raise UserError(
                f"{name}={name_of(given)} and task.module.{name} both say what the module gets. Leave one out "
                f"(~task.module.{name})"
            )
        if name not in parameters:
            raise UserError(
                f"{name}={name_of(given)} has no effect: the constructor of {node['_target_']} takes no argument "
                f"{name}, and the module makes its own. Leave {name} out, or let the constructor take a callable: "
                + ("optimizer(params=self.parameters())" if name == "optimizer" else "scheduler(optimizer=optimizer)")
            )
    optimizer: OptimizerFactory | None = None
    scheduler: ScheduleFactory | SchedulerFactory | None = None
    if "optimizer" in chosen:
        optimizer = OptimizerFactory(instantiate("optimizer", {**run.optimizer, "_partial_": True}), run.decay)
    if "scheduler" in chosen:
        if target_of(run.scheduler) in ("paribus.scheduler.Plateau", "paribus.scheduler.BatchGrowth"):
            raise UserError(
                f"scheduler={name_of(run.scheduler)} follows what only task=classification knows. Use a scheduler of "
                "torch in the module, such as ReduceLROnPlateau"
            )
        if asked_for("scheduler", run.scheduler, optimizer=None):
            if interval_of(run.scheduler) is not None:
                raise UserError(
                    "scheduler.interval has no effect on task=lightning, whose module says when a scheduler steps. "
                    "Leave it out, and let configure_optimizers return it in a mapping with the key interval"
                )
            return optimizer, SchedulerFactory(instantiate("scheduler", partials(run.scheduler)))
        scheduler = ScheduleFactory(instantiate("scheduler", run.scheduler))
    return optimizer, scheduler


def _convert_norms(run: Run, module: Any) -> list[str]:
    """The names of the norms that norm= has put in place of others."""
    activation, weight = run.norm.activation, run.norm.weight
    names: list[str] = []
    if activation is None or target_of(activation) != OWN_NORM:
        try:
            names = replace_norms(module, instantiate("norm", activation) if activation else None)
        except ValueError as error:
            raise UserError(f"norm={_norm_name(run)}: {error}") from error
        if not names:
            raise UserError(
                f"norm={_norm_name(run)} changes nothing: {type(module).__name__} has no norm of torch.nn when it is "
                "made (batch, instance, group, layer or rms norm). Leave norm out, or use norm=own"
            )
    if weight:
        try:
            instantiate("norm.weight", weight)(module)
        except ValueError as error:
            raise UserError(f"norm={_norm_name(run)}: {error}") from error
    return names


def _norm_name(run: Run) -> str:
    return "+".join(map(name_of, run.norm.nodes)) or "none"

"""A run: the typed form of a resolved configuration, which everything below the configuration is handed.

It is parsed once. What is recorded and hashed is the plain mapping that it was made of, `resolved`.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from paribus.base.errors import UserError
from paribus.base.metrics import Metrics
from paribus.config.dotted import at, changed, dotted
from paribus.config.identity import SEMANTICS, run_id, setting_id
from paribus.config.measures import Measures
from paribus.config.modes import check_monitors
from paribus.config.nodes import warmup_updates
from paribus.config.own import check_sections, own_data, own_node
from paribus.config.parts import Freeze, Groups, Init
from paribus.config.schema import (
    NO_KEY,
    Count,
    Free,
    Node,
    Nodes,
    Whole,
    is_section,
    keys,
    missing,
    optional,
    value,
)
from paribus.config.sections import (
    Budget,
    Clip,
    Data,
    Evaluation,
    Length,
    LrScaling,
    Norm,
    Paths,
    Seeds,
    Trainer,
)
from paribus.config.task import Task
from paribus.config.unknown import unknown


@dataclass(frozen=True)
class Run:
    """One training: everything that can change its result, where its record goes, and its labels.

    vars: what only interpolations read. A key with a default may be absent: it is younger than some records, or its
    group is left to the task (`paribus.config.own`).
    resolved: the plain mapping that this was parsed from; it is what records keep.
    """

    seed: Whole
    seeds: Seeds
    budget: Budget
    norm: Norm
    lr_scaling: LrScaling
    decay: Literal["weights", "all"]
    clip: Clip
    evaluation: Evaluation
    trainer: Trainer
    paths: Paths
    data: Data = field(default_factory=own_data)
    augmentation: Node = field(default_factory=own_node)
    model: Node = field(default_factory=own_node)
    loss: Node = field(default_factory=own_node)
    optimizer: Node = field(default_factory=own_node)
    scheduler: Node = field(default_factory=own_node)
    task: Task = field(default_factory=Task)
    metrics: Measures = field(default_factory=Measures)
    init: Init = field(default_factory=Init)
    freeze: Freeze = field(default_factory=Freeze)
    groups: Groups = field(default_factory=Groups)
    callbacks: Nodes | None = None
    logger: Nodes | None = None
    repetition: Whole = 0
    optimized_metric: str = "val/acc_best"
    stack: Count | Literal["auto", "off", False] = "auto"  # YAML reads off as false
    on_change: Literal["stop", "reuse", "retrain"] = "stop"
    members: str | None = None
    group: str | None = None
    arm: str | None = None
    tags: tuple[str, ...] = ()
    ablation: Free | None = None  # its own parser looks at it
    vars: Free = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(kw_only=True, repr=False, compare=False, metadata=NO_KEY)

    def __post_init__(self) -> None:
        warmup, updates = warmup_updates(self.scheduler), self.budget.updates
        if updates and warmup is not None and warmup > updates:
            raise UserError(too_long(warmup, updates))
        nodes = {
            "data": self.data.source,
            "augmentation": self.augmentation,
            "model": self.model,
            "loss": self.loss,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
        }
        check_sections(self.task, nodes, self.norm, self.trainer, self.budget, self.resolved)

    @staticmethod
    def parse(resolved: Mapping[str, Any]) -> Run:
        """The run that a resolved configuration describes.

        Raises UserError for a key that nothing reads, or that holds what it can't.
        """
        return Runs()(resolved)

    @functools.cached_property
    def id(self) -> str:
        """The hash of everything that can change its result, see `paribus.config.identity`."""
        return run_id(self.resolved)

    @functools.cached_property
    def setting(self) -> str:
        """The id of everything but the seeds: equal for the runs that repeat each other."""
        return setting_id(self.resolved)

    @functools.cached_property
    def measured(self) -> Task:
        """The task, with the metrics that are measured beside its own."""
        return self.task.beside(self.metrics.declared)

    @property
    def declared(self) -> Metrics:
        """The metrics that it declares."""
        return self.measured.metrics

    @property
    def measures(self) -> Mapping[str, Mapping[str, Any]]:
        """The classes and arguments of what is measured beside the task's own metrics."""
        return {name: node for name, node in self.metrics.nodes.items() if name not in self.task.metrics}

    @property
    def length(self) -> Length:
        """The budget; the epochs that the data set recommends, where none is given."""
        return self.budget.length(self.data.epochs)

    @property
    def processes(self) -> int:
        """The number of processes that train it together."""
        return self.trainer.processes

    @property
    def precision(self) -> str:
        return self.trainer.precision

    @property
    def device(self) -> str:
        """torch's name of the kind of device that it trains on."""
        return "cuda" if self.trainer.on_gpu else self.trainer.accelerator

    @property
    def callback_nodes(self) -> dict[str, Mapping[str, Any]]:
        """Callbacks by name, without those that were taken away (NAME=null)."""
        return {name: node for name, node in (self.callbacks or {}).items() if node is not None}

    @property
    def logger_nodes(self) -> dict[str, Mapping[str, Any]]:
        """Loggers by name, without those that were taken away."""
        return {name: node for name, node in (self.logger or {}).items() if node is not None}

    @property
    def shown(self) -> dict[str, Any]:
        """The part of the configuration that is shown to others: all but places and loggers."""
        return {key: value for key, value in self.resolved.items() if key not in ("paths", "logger")}

    def comparable(self, data_fingerprint: str | None = None) -> dict[str, Any]:
        """What the runs of one table must share unless the table varies it."""
        return {
            "semantics": SEMANTICS,
            "budget": str(self.length),
            "data": data_fingerprint,
            "world_size": self.processes,
            "evaluated": self.evaluation.checkpoint,
            "precision": self.precision,
        }

    def at(self, key: str) -> Any:
        """The value of a key that is known at run time only, such as one that an ablation names."""
        return at(self.resolved, key)

    def but(self, values: Mapping[str, Any]) -> Run:
        """This run with other values, by dotted key."""
        return Run.parse(changed(self.resolved, values))


class Runs:
    """`Run.parse` of configurations that share sections: each section is looked at once.

    A section is known by its place in memory, so none may change.
    """

    def __init__(self) -> None:
        # With what was parsed, or others could come to lie in its place.
        self._parsed: dict[tuple[str, Any, Any], tuple[Any, Any]] = {}
        self._together: set[tuple[Any, ...]] = set()  # sections that were looked at together
        self._kin: dict[Hashable, bool] = {}  # whether something changes that is looked at together

    def check(self, config: Mapping[str, Any], kin: Hashable = None, changed: Collection[str] = ()) -> None:
        """Raises what a call raises; it makes no Run of sections that were looked at before.

        kin: the same for configurations whose sections are the same objects, but for those that are `changed`.
        """
        names = changed if kin in self._kin else config
        if any(_place(name, config[name]) not in self._parsed for name in names) or (
            self._kin.get(kin, True) and _together(config) not in self._together
        ):
            self(config)
        if kin is not None and kin not in self._kin:
            self._kin[kin] = not {*changed}.isdisjoint(_TOGETHER)

    def __call__(self, config: Mapping[str, Any]) -> Run:
        names, values = keys(Run), dict(optional(Run))
        for name, given in config.items():
            place = _place(name, given)
            if (found := self._parsed.get(place)) is None:
                if name not in names:
                    raise UserError(unknown(name, [*names, *(key for key in dotted(config) if key not in names)]))
                found = self._parsed[place] = value(names[name], given, name), given
            values[name] = found[0]
        if len(values) < len(names):
            raise missing(next(name for name in names if name not in values))
        run = Run(**values, resolved=config)
        if (together := _together(config)) not in self._together:
            check_monitors(
                run.measured, run.optimized_metric, config["evaluation"], run.callback_nodes, config.get("scheduler")
            )
            self._together.add(together)
        return run


def _place(name: str, given: Any) -> tuple[str, type, Any]:
    kind = type(given)
    return (name, kind, id(given) if kind is dict or kind is list else given)


# What a run checks across sections.
_TOGETHER = ("optimized_metric", "budget", "scheduler", "evaluation", "callbacks", "task", "metrics")


def _together(config: Mapping[str, Any]) -> tuple[Any, ...]:
    return (config.get(_TOGETHER[0]), *[id(config.get(name)) for name in _TOGETHER[1:]])


def recorded(config: Mapping[str, Any]) -> tuple[Run, list[str]]:
    """The run of a recorded configuration, and those of its keys that nothing reads any more: they are left out.

    Raises UserError for one that lacks what every run has, or holds what this version does not know.
    """
    gone = [name for name in config if name not in keys(Run)]
    kept = {name: given for name, given in config.items() if name not in gone}
    for name, hint in keys(Run).items():
        if is_section(hint) and isinstance(section := kept.get(name), Mapping):
            inner = keys(hint)
            gone += [f"{name}.{key}" for key in section if key not in inner]
            kept[name] = {key: given for key, given in section.items() if key in inner}
    return Run.parse(kept), gone


def too_long(warmup: int, horizon: float, unit: str = "updates") -> str:
    return (
        f"scheduler.warmup must end within the run, which has {horizon:g} {unit}, got {warmup}. "
        "Try scheduler.warmup=0.05, a fraction of the run"
    )

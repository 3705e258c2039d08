"""The schema of a run: every key of train.yaml and of its groups, with its type and range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from paribus.config.modes import check_modes
from paribus.config.schema import (
    Count,
    Fraction,
    Free,
    Node,
    Nodes,
    Positive,
    Range,
    Share,
    Whole,
    absent,
    is_section,
    keys,
    value,
)
from paribus.config.unknown import unknown
from paribus.errors import UserError
from paribus.plan.metrics import KNOWN

Metric: TypeAlias = Literal[KNOWN]  # type: ignore[valid-type]
Processes = Annotated[int, Range(least=1, most=65_536)]
Threads = Annotated[int, Range(least=1, most=1024)]


@dataclass(frozen=True)
class Seeds:
    """Three independent random streams."""

    EXAMPLE: ClassVar[str] = "seed=1, or seeds.init=1"
    init: Whole  # initial weights, dropout
    order: Whole  # of the samples
    augmentation: Whole  # random crops, mixing partners


@dataclass(frozen=True)
class Budget:
    """How long to train: one unit, or none for the epochs that the data set recommends."""

    EXAMPLE: ClassVar[str] = "budget.epochs=20"
    epochs: Count | None
    updates: Count | None
    samples: Count | None
    seconds: Positive | None

    def __post_init__(self) -> None:
        given = [f"budget.{unit}={amount}" for unit, amount in vars(self).items() if amount is not None]
        if len(given) > 1:
            drop = " ".join(f"{each.split('=')[0]}=null" for each in given[:-1])
            raise UserError(f"A run has exactly one budget, got {' and '.join(given)}. Drop all but one, e.g. {drop}")


@dataclass(frozen=True)
class Norm:
    """An activation norm, a weight parametrization, or both."""

    activation: Node | None
    weight: Node | None


@dataclass(frozen=True)
class LrScaling:
    """The learning rate as a function of the global batch size."""

    rule: Literal["none", "linear", "sqrt"]
    base_batch_size: Count


@dataclass(frozen=True)
class Clip:
    """Gradient clipping before each update: by value first, then by global norm."""

    norm: Positive | None
    value: Positive | None


@dataclass(frozen=True)
class Evaluation:
    """Validation and test. every: epochs. checkpoint: whose weights are tested. statistics: of batch norm."""

    every: Count
    checkpoint: Literal["last", "best"]
    monitor: Literal["val/acc", "val/loss", "val/ece"]
    batch_size: Count
    statistics: Literal["moving", "recomputed", "batch"]
    mode: Literal["max", "min"] | None = None  # of configurations of before: it follows from the metric


@dataclass(frozen=True)
class Data:
    """Where the samples come from, how they are split, and the batch. epochs: the budget, where none is given."""

    source: Node
    validation: Count | Share
    split_seed: Whole
    subset: Count | Share | None
    label_noise: Fraction
    noise_seed: Whole
    standardize: bool
    drop_last: bool
    resident: bool | Literal["auto"]
    workers: Annotated[int, Range(least=0, most=1024)]
    epochs: Count
    batch_size: Count | Literal["full"]


@dataclass(frozen=True)
class Trainer:
    """Hardware, precision, and what changes speed or memory only."""

    accelerator: Literal["cpu", "gpu", "cuda", "mps"]
    devices: Processes
    num_nodes: Processes
    strategy: Literal["auto", "ddp", "fsdp"]
    precision: Literal["64-true", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true"]
    accumulate: Count
    compile: bool
    channels_last: bool
    deterministic: bool
    threads: Threads | None
    profiler: Literal["simple", "advanced"] | None

    def __post_init__(self) -> None:
        if self.strategy == "auto" and (processes := self.devices * self.num_nodes) > 1:
            raise UserError(f"{processes} processes need a strategy: add trainer.strategy=ddp, or use trainer=ddp")


@dataclass(frozen=True)
class Paths:
    """Folders of results and of data sets."""

    outputs: str
    data: str


@dataclass(frozen=True)
class Run:
    """One training: everything that can change its result, where its record goes, and its labels.

    vars: what only interpolations read. A key with a default may be absent: it is younger than some records.
    """

    seed: Whole
    seeds: Seeds
    budget: Budget
    norm: Norm
    lr_scaling: LrScaling
    decay: Literal["weights", "all"]
    clip: Clip
    evaluation: Evaluation
    data: Data
    augmentation: Node
    model: Node
    loss: Node
    optimizer: Node
    scheduler: Node
    trainer: Trainer
    paths: Paths
    callbacks: Nodes | None = None
    logger: Nodes | None = None
    repetition: Whole = 0
    optimized_metric: Metric = "val/acc_best"
    stack: Count | Literal["auto", "off", False] = "auto"  # YAML reads off as false
    on_change: Literal["stop", "reuse", "retrain"] = "stop"
    members: str | None = None
    group: str | None = None
    arm: str | None = None
    tags: tuple[str, ...] = ()
    ablation: Free | None = None  # its own parser looks at it
    vars: Free = field(default_factory=dict)

    def __post_init__(self) -> None:
        warmup, updates = self.scheduler.get("warmup"), self.budget.updates
        if updates and isinstance(warmup, int) and warmup > updates:
            raise UserError(too_long(warmup, updates))

    @staticmethod
    def parse(config: Mapping[str, Any]) -> Run:
        """The run that a resolved configuration describes.

        Raises UserError for a key that nothing reads, or that holds what it can't.
        """
        return Runs()(config)


_TOGETHER = ("budget", "scheduler", "evaluation", "callbacks")  # what a run checks across sections


class Runs:
    """`Run.parse` of configurations that share sections: each section is looked at once.

    A section is known by its place in memory, so none may change.
    """

    def __init__(self) -> None:
        # With what was parsed, or others could come to lie in its place.
        self._parsed: dict[tuple[str, Any, Any], tuple[Any, Any]] = {}
        self._together: set[tuple[Any, ...]] = set()  # sections that were looked at together

    def check(self, config: Mapping[str, Any]) -> None:
        """Raises what a call raises; it makes no Run of sections that were looked at before."""
        parsed, new = self._parsed, False
        for name, given in config.items():
            kind = type(given)
            new = new or (name, kind, id(given) if kind is dict or kind is list else given) not in parsed
        sections = tuple([id(config.get(name)) for name in _TOGETHER])
        if new or sections not in self._together:
            self(config)
            self._together.add(sections)

    def __call__(self, config: Mapping[str, Any]) -> Run:
        names = keys(Run)
        values = {}
        for name, given in config.items():
            kind = type(given)
            place = (name, kind, id(given) if kind is dict or kind is list else given)
            if (found := self._parsed.get(place)) is None:
                if name not in names:
                    raise UserError(unknown(name, [*names, *(key for key in dotted(config) if key not in names)]))
                found = self._parsed[place] = value(names[name], given, name), given
            values[name] = found[0]
        for name in names.keys() - values.keys():
            values[name] = absent(Run, name)
        check_modes(config["evaluation"], config.get("callbacks") or {})
        return Run(**values)


def readable(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recorded configuration without the keys that nothing reads any more, and those keys."""
    gone = [name for name in config if name not in keys(Run)]
    kept = {name: given for name, given in config.items() if name not in gone}
    for name, hint in keys(Run).items():
        if is_section(hint) and isinstance(section := kept.get(name), Mapping):
            inner = keys(hint)
            gone += [f"{name}.{key}" for key in section if key not in inner]
            kept[name] = {key: given for key, given in section.items() if key in inner}
    return kept, gone


def too_long(warmup: int, horizon: float, unit: str = "updates") -> str:
    return (
        f"scheduler.warmup must end within the run, which has {horizon:g} {unit}, got {warmup}. "
        "Try scheduler.warmup=0.05, a fraction of the run"
    )


def dotted(node: Any, prefix: str = "") -> Iterator[str]:
    """The keys of a configuration, those in sections with their section; for suggestions."""
    for name, item in node.items():
        yield f"{prefix}{name}"
        if isinstance(item, Mapping):
            yield from dotted(item, f"{prefix}{name}.")


@dataclass(frozen=True)
class Descent:
    """One descent on an error surface: surface.yaml. tolerance: above the lowest value, where it has arrived."""

    steps: Annotated[int, Range(least=1, most=10_000_000)]
    tolerance: Positive
    seed: Whole
    surface: Node
    optimizer: Node
    scheduler: Node
    vars: Free = field(default_factory=dict)

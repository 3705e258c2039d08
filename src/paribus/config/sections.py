"""The sections of a run's configuration: every key of train.yaml and of its groups, with its type and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from paribus.base.errors import UserError
from paribus.config.schema import Count, Fraction, Free, Node, Positive, Range, Share, Whole

Processes = Annotated[int, Range(least=1, most=65_536)]
Threads = Annotated[int, Range(least=1, most=1024)]


Unit = Literal["epochs", "updates", "samples", "seconds"]


class Length(NamedTuple):
    """How long a run is, in one unit."""

    unit: Unit
    amount: int | float

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


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

    def length(self, recommended: int) -> Length:
        """recommended: epochs, where none is given."""
        if self.updates is not None:
            return Length("updates", self.updates)
        if self.samples is not None:
            return Length("samples", self.samples)
        if self.seconds is not None:
            return Length("seconds", self.seconds)
        return Length("epochs", recommended if self.epochs is None else self.epochs)


@dataclass(frozen=True)
class Norm:
    """An activation norm, a weight parametrization, or both."""

    activation: Node | None
    weight: Node | None

    @property
    def nodes(self) -> tuple[Mapping[str, Any], ...]:
        """Those that there are, the activation norm first."""
        return tuple(node for node in (self.activation, self.weight) if node)


@dataclass(frozen=True)
class LrScaling:
    """The learning rate as a function of the global batch size, or of the width of the model."""

    rule: Literal["none", "linear", "sqrt", "width"]
    base_batch_size: Count
    base_width: Count


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
    monitor: str
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
    test: Count | Share | Literal["redraw"] | None = None  # of all samples; none for the source's own test part


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
    flags: Free = field(default_factory=dict)  # further arguments of Lightning's Trainer, for task=lightning

    @property
    def processes(self) -> int:
        """The number of processes that train together: devices x nodes."""
        return self.devices * self.num_nodes

    @property
    def on_gpu(self) -> bool:
        return self.accelerator in ("gpu", "cuda")

    def __post_init__(self) -> None:
        if self.strategy == "auto" and self.processes > 1:
            raise UserError(f"{self.processes} processes need a strategy: add trainer.strategy=ddp, or use trainer=ddp")
        if self.strategy == "fsdp" and self.precision in ("16-mixed", "64-true"):
            raise UserError(
                f"trainer.strategy=fsdp has no trainer.precision={self.precision}. Use bf16-mixed or 32-true, or "
                "trainer=ddp"
            )


@dataclass(frozen=True)
class Paths:
    """Folders of results and of data sets."""

    outputs: str
    data: str


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

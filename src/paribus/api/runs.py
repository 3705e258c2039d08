"""Runs as objects: a run that has a record, and one whose network is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paribus.api.curvature import Curvature, effort
from paribus.base.extras import needed_by
from paribus.config.outputs import store_of
from paribus.config.task import LIGHTNING
from paribus.store.record import Record, Status
from paribus.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor, nn

Part = Literal["train", "val", "test"]


@dataclass(frozen=True)
class TrainedRun:
    """A run that has a record.

    record: everything that is known of it. store: the folder of all records.
    """

    record: Record
    store: Store

    @property
    def id(self) -> str:
        """The hash of everything in the configuration that can change the result."""
        return self.record.id

    @property
    def status(self) -> Status:
        """done, diverged, failed or running."""
        return self.record.status

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of everything logged, such as test/acc (a fraction), and the best validations."""
        return self.record.metrics

    @property
    def timing(self) -> dict[str, float]:
        """steps, epochs, fit_seconds, ms_per_update, seconds_per_epoch, samples_per_second, total_seconds."""
        return self.record.timing

    @property
    def folder(self) -> Path:
        """Of the record, the history and the checkpoints."""
        return self.store.run_dir(self.id)

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration. Raises UserError where it is missing or damaged."""
        return self.store.config(self.id)

    @property
    def history(self) -> pd.DataFrame:
        """A row for each time that something was logged: step, epoch, seconds and metrics; nan where one was not."""
        import pandas as pd

        return pd.DataFrame(self.store.history(self.id))

    def load(self, checkpoint: str | Path | None = None, *, trust: bool = False) -> LoadedRun:
        """The run with its network and its data; see `paribus.load`."""
        from paribus.run.evaluate import reload, reloadable

        run, path = reloadable(self.record, self.store, trust), None if checkpoint is None else Path(checkpoint)
        if run.task.target == LIGHTNING:
            with needed_by("paribus.load"):
                from paribus.extras.lightning.evaluate import reload_module

            parts = reload_module(self.record, self.store, run, path).parts
            return LoadedRun(self.record, self.store, parts.module.eval(), parts.source, parts.module.device)
        found = reload(self.record, self.store, path, trust=trust)
        return LoadedRun(self.record, self.store, found.network.eval(), found.data, found.device)

    def evaluate(self, checkpoint: str | Path | None = None, *, trust: bool = False) -> dict[str, float]:
        """The test metrics, computed again from the recorded checkpoint or from another one."""
        from paribus.run.evaluate import evaluate_record

        return evaluate_record(self.record, self.store, None if checkpoint is None else Path(checkpoint), trust=trust)

    def curvature(
        self,
        checkpoint: str | Path | None = None,
        *,
        split: Part = "train",
        samples: int | None = None,
        decay: bool = False,
        refine: int = 200,
        dense: int = 3000,
        probes: int = 10,
        seed: int = 0,
        trust: bool = False,
    ) -> Curvature:
        """Hessian spectrum, index and verdict near the weights, as `paribus curvature`.

        split, samples: what the loss is a mean over; all samples by default.
        decay: add the weight decay of the optimizer to the loss, as a penalty on the weights.
        refine: Newton steps at most. dense: largest Hessian that is computed as a whole.
        probes, seed: random vectors of the spectral density.

        Raises UserError where the files of the run are missing or damaged, and where the extra curvature was deleted.
        """
        with needed_by("curvature()"):
            from paribus.extras.curvature.recorded import analyse_record

        found = analyse_record(
            self.record,
            self.store,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            split=split,
            samples=samples,
            decay=decay,
            effort=effort(refine, dense, probes),
            seed=seed,
            trust=trust,
        )
        return Curvature(found)

    def __str__(self) -> str:
        from paribus.run.bookkeeping import summary

        return f"{self.id} {self.status}: {summary(self.record)}"

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class LoadedRun(TrainedRun):
    """A run with its trained network and its data.

    network: in evaluation mode, on its device, with the weights that the run was tested with; the LightningModule of
        task=lightning.
    data: the LightningDataModule, whose samples lie on the same device; of task=lightning the user's own.
    """

    network: nn.Module
    data: Any
    device: torch.device

    def batches(self, part: Part, batch_size: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
        """Samples of a part in order, prepared as in an evaluation: x (batch, channels, height, width), y (batch).

        The data module of task=lightning yields its own batches: call its methods.
        """
        found: Iterator[tuple[Tensor, Tensor]] = self.data.evaluation_batches(part, batch_size)
        return found


def load(
    run: str | TrainedRun,
    checkpoint: str | Path | None = None,
    *,
    outputs: str | Path | None = None,
    trust: bool = False,
) -> LoadedRun:
    """The trained network of a run, and its data.

    run: its id, the beginning of it, or its folder. checkpoint: another file than the one that was tested.
    outputs: the folder of records (default: where training writes them).
    trust: whether what the configuration of an imported run names may be called. Look at it before.

    Raises UserError where there is no such run, where its files are missing or damaged, and for an imported run
    without trust.
    """
    if not isinstance(run, TrainedRun):
        store = store_of(None if outputs is None else str(outputs))
        run = TrainedRun(store.find(str(run)), store)
    return run.load(checkpoint, trust=trust)

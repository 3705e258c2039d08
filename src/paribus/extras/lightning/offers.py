"""The offer of task=lightning to the core: the driver of its runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from paribus.config.run import Run
from paribus.config.task import LIGHTNING
from paribus.store.record import Record
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.run.fit import Outcome


class LightningDriver:
    """Lightning itself trains; see `paribus.run.drivers.Driver`."""

    target = LIGHTNING

    def check(self, run: Run) -> None:
        from paribus.extras.lightning.trial import try_batches

        try_batches(run)

    def fit(self, run: Run) -> Callable[[Record, Path], Outcome]:
        from paribus.extras.lightning.driver import Lightning

        return Lightning.of(run).fit

    def evaluate(self, record: Record, store: Store, run: Run, checkpoint: Path | None) -> dict[str, float]:
        from paribus.extras.lightning.evaluate import evaluate_module

        return evaluate_module(record, store, run, checkpoint)


DRIVER = LightningDriver()

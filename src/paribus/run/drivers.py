"""The drivers of tasks that Paribus does not train by a loop of its own. Extras offer them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paribus.base.errors import UserError
from paribus.base.extras import offered
from paribus.config.run import Run
from paribus.config.task import LIGHTNING
from paribus.store.record import Record
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.run.fit import Outcome


class Driver(Protocol):
    """Trains the runs of one task. target: the public name of the task."""

    target: str

    def check(self, run: Run) -> None:
        """Raises UserError with what can't work, before anything is trained."""
        ...

    def fit(self, run: Run) -> Callable[[Record, Path], Outcome]:
        """What trains the run in the folder of its record, and tests it. Raises UserError where it can't be built."""
        ...

    def evaluate(self, record: Record, store: Store, run: Run, checkpoint: Path | None) -> dict[str, float]:
        """The test metrics, from the recorded checkpoint or another one. Raises UserError where it does not fit."""
        ...


def driver_of(run: Run) -> Driver | None:
    """The driver of a run; None where the loop of Paribus trains it.

    Raises UserError for a task whose driver was deleted.
    """
    for driver in offered("DRIVER"):
        if driver.target == run.task.target:
            found: Driver = driver
            return found
    if run.task.target == LIGHTNING:
        raise UserError(
            "task=lightning needs the extra lightning, which this installation lacks. Install Paribus again to have it"
        )
    return None

"""The jobs of a sweep: one for each run, unless an extra trains several runs as one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from paribus.ablation.cells import Cell
from paribus.base.errors import UserError
from paribus.base.extras import offered
from paribus.base.terminal import say
from paribus.config.run import Run
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.jobs import Job

if TYPE_CHECKING:
    from paribus.run.build import Setting
    from paribus.run.data import RunData

# How variables of the environment begin that give secrets to the processes of a sweep. No file may hold their values.
WITHHELD = "PARIBUS_WITHHELD_"

Lines = Mapping[str, list[str]]  # run -> the command line that trains it alone


@dataclass(frozen=True)
class Outlook:
    """What a plan says of the jobs to come. sizes: of each run, how many go together. lines: for a person."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    lines: Sequence[str] = ()


class Grouping(Protocol):
    """How runs are put together, and how several are trained by one job."""

    def jobs(self, cells: Sequence[Cell], lines: Lines, settings: Any, folder: Path) -> list[Job]:
        """The jobs that train the cells. settings: the configuration with Hydra's own node. folder: of the sweep."""
        ...

    def discard(self, job: Job) -> None:
        """Removes what was written for a job that is over."""
        ...

    def runs_of(self, line: Sequence[str]) -> list[str]:
        """The runs that a job with this command line trains together; none where it is a single run."""
        ...

    def outlook(self, cells: Sequence[Cell], slots: int, store: Store) -> Outlook:
        """How the cells will be grouped, before any is trained. slots: jobs at a time."""
        ...

    def refusal(self, runs: Sequence[Run], setting: Setting | None, data: RunData | None) -> str | None:
        """Why these runs, which differ in their seeds, can't be one job; None where they can.

        setting, data: of the first of them; None where Paribus builds none.
        """
        ...

    def train(self, run: Run, members: Path) -> Record:
        """Trains the runs that a file lists, in this process; the record of the first."""
        ...

    def relative_time(self, run: Run, setting: Setting, data: RunData, size: int) -> float:
        """The time of an update in a job of `size` runs like this one, for each of them, over that of a single run."""
        ...


class Alone:
    """A job for each run."""

    def jobs(self, cells: Sequence[Cell], lines: Lines, settings: Any, folder: Path) -> list[Job]:
        for line in self._in_vain(cells):
            say(line)
        return [Job(lines[cell.id], (cell.id,)) for cell in cells]

    def discard(self, job: Job) -> None:
        pass

    def runs_of(self, line: Sequence[str]) -> list[str]:
        return []

    def outlook(self, cells: Sequence[Cell], slots: int, store: Store) -> Outlook:
        return Outlook(lines=[f"  {line}" for line in self._in_vain(cells)])

    def _in_vain(self, cells: Sequence[Cell]) -> list[str]:
        """A line about stacks that were asked for by their size."""
        asked = [cell for cell in cells if isinstance(cell.run.stack, int) and cell.run.stack > 1]
        why = "this installation lacks the extra stack"
        return [f"{len(asked)} alone: stack={asked[0].run.stack} was asked for, but {why}"] if asked else []

    def refusal(self, runs: Sequence[Run], setting: Setting | None, data: RunData | None) -> str | None:
        return "this installation lacks the extra stack"

    def train(self, run: Run, members: Path) -> Record:
        raise UserError(f"members={members} lists a stack, and this installation has no paribus.extras.stack")

    def relative_time(self, run: Run, setting: Setting, data: RunData, size: int) -> float:
        return 1.0


def grouping() -> Grouping:
    """What groups the runs of this installation."""
    found: Grouping = next((make() for make in offered("Stacking")), Alone())
    return found

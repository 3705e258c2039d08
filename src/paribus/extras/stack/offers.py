"""The offer of stacks to the core: several runs as one job and one program."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paribus.ablation.cells import Cell
from paribus.config.run import Run
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.grouping import Lines, Outlook
from paribus.sweep.jobs import Job

if TYPE_CHECKING:
    from paribus.run.build import Setting
    from paribus.run.data import RunData


class Stacking:
    """Runs that can share a program are a job; see `paribus.sweep.grouping.Grouping`."""

    def jobs(self, cells: Sequence[Cell], lines: Lines, settings: Any, folder: Path) -> list[Job]:
        from paribus.extras.stack.jobs import jobs_of

        return jobs_of(cells, lines, settings, folder)

    def discard(self, job: Job) -> None:
        """The list of members, and the secrets that it lacks."""
        from paribus.extras.stack.jobs import members_file
        from paribus.extras.stack.withheld import forget

        if (path := members_file(job.line)) is not None:
            forget(path)
            with suppress(OSError):
                path.unlink()

    def runs_of(self, line: Sequence[str]) -> list[str]:
        from paribus.extras.stack.jobs import runs_of

        return runs_of(line)

    def outlook(self, cells: Sequence[Cell], slots: int, store: Store) -> Outlook:
        from paribus.extras.stack.measured import Measured
        from paribus.extras.stack.planning import reasons, stacks

        measured = Measured(store.root)
        groups = stacks(cells, cells[0].run.stack, slots, measured.best_size, measured.refusal)
        lines = []
        if together := [len(group.cells) for group in groups if len(group.cells) > 1]:
            lines.append(
                f"  {sum(together)} runs will be trained in {len(together)} stacks (single runs where "
                "a measurement shows that is faster)"
            )
        lines += [f"  {len(alone)} alone: {reason}" for reason, alone in reasons(groups).items()]
        return Outlook({cell.id: len(group.cells) for group in groups for cell in group.cells}, lines)

    def refusal(self, runs: Sequence[Run], setting: Setting | None, data: RunData | None) -> str | None:
        from paribus.extras.stack.planning import alone_because, foreign_parts

        if (reason := alone_because(runs[0])) is not None or setting is None or data is None:
            return reason
        from paribus.datasets.prepare import TensorSet
        from paribus.extras.stack.members import Member
        from paribus.extras.stack.rehearsal import objection

        if not isinstance(data.splits.train, TensorSet):
            return "workers read the samples"
        if not any(map(foreign_parts, runs)):
            return None
        folder = Path(runs[0].paths.outputs)
        return objection([Member(run, Record(run.id, "running"), folder / "stack") for run in runs], setting, data)

    def train(self, run: Run, members: Path) -> Record:
        from paribus.extras.stack.execute import train_stack

        return train_stack(run, members)

    def relative_time(self, run: Run, setting: Setting, data: RunData, size: int) -> float:
        from paribus.extras.stack.decision import relative_time

        return relative_time(run, setting, data, size)

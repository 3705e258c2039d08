"""A sweep from its command line to its last record: plan, train what is missing, and plan again with what came out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from paribus.errors import JobFailed, RunsFailed, UserError
from paribus.plan.cells import Cell, Plan
from paribus.plan.command import plan_command
from paribus.plan.compose import parse_overrides
from paribus.plan.composer import Composer
from paribus.plan.sweep import varied_keys
from paribus.store.atomic import write_atomically
from paribus.store.store import Store

Launch = Callable[..., Sequence[JobReturn]]  # Hydra's Launcher.launch
FINISHED = ("done", "diverged")


class Sweep:
    """Stages of training with planning in between: tuning comes first, then the winners' reporting seeds.

    launch: trains a list of command lines, as any of Hydra's launchers does.
    settings: the composed configuration with Hydra's own node, of which the folders are read.
    """

    def __init__(self, arguments: Sequence[str], composer: Composer, launch: Launch, settings: Any):
        self.arguments = list(arguments)
        self.composer = composer
        self.launch = launch
        self.folder = Path(settings.hydra.sweep.dir)
        self.store = Store(Path(settings.paths.outputs))
        self.failures: dict[str, str] = {}  # run -> what went wrong

    def run(self) -> list[JobReturn]:
        """Train everything that is missing; the results of all jobs.

        Raises UserError before anything trains for a command line that can't be planned, and RunsFailed after the last
        cell when some have failed: one failure does not keep the others from training.
        """
        results: list[JobReturn] = []
        self.store.locks()  # a folder that can't be written is said before anything is planned
        stage = 0
        while True:
            plans = plan_command(self.arguments, self.store.read, self.composer)
            if stage == 0:
                self.write(plans)
            missing = self.missing(plans)
            for plan in plans:
                self.announce(plan, missing, stage)
            if not missing:
                break
            jobs = [command_line(cell, plan) for cell, plan in missing.values()]
            returned = self.launch(jobs, initial_job_idx=len(results))
            for (cell, _), result in zip(missing.values(), returned, strict=True):
                if result.status == JobStatus.FAILED:
                    error = result._return_value
                    self.failures[cell.id] = f"{cell.arm} seed {cell.seed}: {described(error)}"
            results += returned
            stage += 1
        self.write(plans)
        invalid = [f"{each.name}: {each.reason}" for plan in plans for each in plan.invalid]
        if self.failures or invalid:
            raise RunsFailed([*self.failures.values(), *invalid])
        return results

    def missing(self, plans: Sequence[Plan]) -> dict[str, tuple[Cell, Plan]]:
        """The runs to train now, each once, however many plans share it; none that has failed in this sweep already."""
        cells = {cell.id: (cell, plan) for plan in reversed(plans) for cell in reversed(plan.cells)}
        return {
            id: cells[id]
            for id in reversed(cells)
            if id not in self.failures and ((record := self.store.read(id)) is None or record.status not in FINISHED)
        }

    def announce(self, plan: Plan, missing: dict[str, Any], stage: int) -> None:
        to_train = sum(cell.id in missing for cell in plan.cells)
        if stage and not to_train:
            return
        counts = (
            f"{len(plan.arms)} arms, {len(plan.cells)} runs: {len(plan.cells) - to_train} done, {to_train} to train"
        )
        later = (
            ""
            if plan.complete
            else ", more when these are tuned"
            if to_train
            else ", waiting for tuning runs that failed"
        )
        twice = f"; {len(plan.duplicates)} named twice are trained once" if plan.duplicates else ""
        say(f"{plan.name}: {counts}{later}{twice}")

    def write(self, plans: Sequence[Plan]) -> None:
        """What the sweep consists of, for tables of sweeps that no file describes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = [
            {
                "name": plan.name,
                "keys": varied_keys(parse_overrides(self.arguments)),
                "arms": {arm: [cell.id for cell in cells if cell] for arm, cells in plan.arms.items()},
            }
            for plan in plans
        ]
        write_atomically(self.folder / "sweep.json", json.dumps({"plans": content}, indent=1))


def command_line(cell: Cell, plan: Plan) -> list[str]:
    """The job of a cell: its overrides, and the labels that its record and its W&B run carry."""
    return [*cell.overrides, f"group={json.dumps(plan.name)}", f"arm={json.dumps(cell.arm)}"]


def described(error: BaseException) -> str:
    """What people read: the name of an exception says nothing where the message was written for them."""
    return str(error) if isinstance(error, UserError | JobFailed) else f"{type(error).__name__}: {error}"


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()

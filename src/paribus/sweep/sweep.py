"""A sweep from its command line to its last record: plan, train what is missing, and plan again with what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paribus.ablation.cells import Cell, Plan
from paribus.ablation.changes import Changed, changed_runs, listed, moved_data, name_of, refuse
from paribus.ablation.inputs import Inputs, is_open
from paribus.base.atomic import write_atomically
from paribus.base.errors import RunsFailed, StorageFailed, UserError
from paribus.base.extras import offered
from paribus.base.terminal import say
from paribus.config.compose import parse_overrides
from paribus.config.composer import Composer
from paribus.config.grammar import literal
from paribus.config.measures import Measures
from paribus.config.sweep import varied_keys
from paribus.evidence.plans import plans_of
from paribus.evidence.registered import register
from paribus.run.later import lacking
from paribus.store.store import Store
from paribus.sweep.afterwords import add_afterwords, command_on
from paribus.sweep.capacity import is_of_this_machine
from paribus.sweep.child import add_metrics_to, check_settings, fingerprints
from paribus.sweep.fork import shared_server
from paribus.sweep.grouping import grouping
from paribus.sweep.jobs import Job, Jobs, Launch
from paribus.sweep.ranks import check_one_machine

Missing = dict[str, tuple[Cell, Plan]]  # run -> its cell, and the plan that it is trained for


class Sweep:
    """Stages of training with planning in between: tuning comes first, then the winners' reporting seeds.

    launch: trains a list of command lines, as any of Hydra's launchers does.
    settings: the composed configuration with Hydra's own node, of which the folders are read.
    on_invalid: what to do where some configurations can't work: stop before anything is trained, or skip them.
    """

    def __init__(self, arguments: Sequence[str], composer: Composer, launch: Launch, settings: Any, on_invalid: str):
        self.arguments = list(arguments)
        self.composer = composer
        self.folder = Path(settings.hydra.sweep.dir)
        self.settings = settings
        self.store = Store(Path(settings.paths.outputs))
        self.on_invalid = on_invalid
        self.jobs = Jobs(launch, self.store)
        self.failures: dict[str, str] = {}  # run -> what went wrong
        self.said: set[str] = set()
        self.inputs = Inputs(self.store.root)
        self.compared: set[str] = set()  # runs whose data have been compared, or that this sweep trains
        self.accepted: set[str] = set()  # runs that are used though their inputs have changed
        self.evaluated: set[str] = set()  # runs whose metrics have been compared with those asked for
        self.invalid: dict[str, str] = {}  # setting -> why it can't work; empty where it can

    def run(self) -> None:
        """Train everything that is missing.

        Raises UserError before anything trains for a command line that can't be planned, and RunsFailed after the last
        cell when some have failed: one failure does not keep the others from training.
        """
        self.store.locks()  # a folder that can't be written is said before anything is planned
        stage = 0
        while True:
            plans = plans_of(self.arguments, self.store.read, self.composer)
            for check in offered("check_run"):
                for plan in plans:
                    for cell in plan.cells:
                        check(cell.id, cell.run, plan.name, cell.arm)
            if self.changed(plans) or self.measured(plans):
                continue  # plan again: what was put aside or measured may decide a winner
            for plan in plans:
                refuse_unmeasured(plan)
            missing = self.without_invalid(plans, self.missing(plans))
            if stage == 0:
                self.write(plans)
                for line in register(self.store, plans) if missing else ():
                    say(line)
            for plan in plans:
                self.announce(plan, missing, stage)
            if not missing:
                break
            self.compared |= set(missing)
            failures = self.train(missing)
            for id, reason in failures.items():
                cell, _ = missing[id]
                self.failures[id] = f"{cell.arm} seed {cell.seed}: {reason}"
            stage += 1
        with suppress(StorageFailed) if self.failures else nullcontext():  # what failed is to be said
            self.write(plans)
        self.conclude(plans)
        if self.failures:
            raise RunsFailed(list(self.failures.values()))

    def measured(self, plans: Sequence[Plan]) -> bool:
        """Whether finished runs were given metrics that are asked for now and that they were trained without."""
        asked: dict[str, Measures] = {}
        for cell in {cell.id: cell for plan in plans for cell in plan.cells}.values():
            if cell.id in self.evaluated or not cell.composed.measures_more:
                continue
            self.evaluated.add(cell.id)
            record = self.store.read(cell.id)
            if record is not None and (names := lacking(record, cell.run.metrics.only(cell.run.measures))):
                asked[cell.id] = cell.run.metrics.only(names)
        if not asked:
            return False
        said = "were trained without a metric that is asked for. It is computed from their weights"
        say(f"{len(asked)} finished runs {said}")
        found = shared_server().call(add_metrics_to, asked, self.store.root)
        for id, reason in found.without.items():
            say(f"{id} stays without {', '.join(asked[id].nodes)}: {reason}")
        return bool(found.added)

    def changed(self, plans: Sequence[Plan]) -> bool:
        """Whether finished runs were put aside, since their inputs have changed and on_change is retrain.

        Raises UserError that names them where on_change is stop.
        """
        found = changed_runs(plans, self.store.read, self.inputs)
        found += self.changed_data(plans, {each.id for each in found})
        found = [each for each in found if each.id not in self.accepted]
        if not found:
            return False
        if (reaction := found[0].on_change) == "stop":
            raise refuse(found)
        for each in found:
            if reaction == "retrain":
                with self.store.lock(each.id):
                    self.store.replace(each.id)
            else:
                self.accepted.add(each.id)
        done = "are trained again" if reaction == "retrain" else "are used although they have changed"
        say(
            f"{len(found)} finished runs {done} (on_change={reaction}); changes since they were trained:{listed(found)}"
        )
        return bool(reaction == "retrain")

    def changed_data(self, plans: Sequence[Plan], known: set[str]) -> list[Changed]:
        """Finished runs on data that only loading can compare: of a stranger's source, or moved to another folder."""
        groups: dict[str, list[tuple[Cell, str]]] = {}
        for cell in {cell.id: cell for plan in plans for cell in plan.cells}.values():
            if cell.id in known or cell.id in self.compared or not self.jobs.finished(cell.id):
                continue
            self.compared.add(cell.id)
            record = self.store.read(cell.id)
            if record is None or not (then := record.comparable.get("data")):
                continue
            if is_open(cell.run) or moved_data(record, self.inputs(cell.run), cell.run):
                groups.setdefault(json.dumps(asdict(cell.run.data), sort_keys=True), []).append((cell, then))
        if not groups:
            return []
        now = shared_server().call(fingerprints, {key: cells[0][0].run for key, cells in groups.items()})
        if unknown := sum(len(cells) for key, cells in groups.items() if not now[key]):
            say(
                f"the data of {unknown} finished runs can't be loaded, so it is unknown whether they are still the same"
            )
        return [
            Changed(
                cell.id,
                name_of(cell.arm, cell.seed),
                (f"the data (fingerprint {now[key]} now, {then} then)",),
                cell.run.on_change,
            )
            for key, cells in groups.items()
            for cell, then in cells
            if now[key] and now[key] != then
        ]

    def train(self, missing: Missing) -> dict[str, str]:
        """Train these runs, in stacks where they can be; what went wrong with those that still have no result."""
        lines = {id: command_line(cell, plan) for id, (cell, plan) in missing.items()}
        groups, started = grouping(), list[Job]()

        def jobs(ids: Sequence[str]) -> list[Job]:
            found = groups.jobs([missing[id][0] for id in ids], lines, self.settings, self.folder)
            started.extend(found)
            return found

        try:
            return self.jobs.train(lines, jobs)
        finally:
            for job in started:
                groups.discard(job)

    def missing(self, plans: Sequence[Plan]) -> Missing:
        """The runs to train now, each once, however many plans share it; none that has failed in this sweep already."""
        cells = {cell.id: (cell, plan) for plan in reversed(plans) for cell in reversed(due(plan, self.is_missing))}
        return {id: cells[id] for id in reversed(cells) if self.is_missing(id)}

    def is_missing(self, id: str) -> bool:
        return id not in self.failures and not self.jobs.finished(id)

    def without_invalid(
        self, plans: Sequence[Plan], missing: dict[str, tuple[Cell, Plan]]
    ) -> dict[str, tuple[Cell, Plan]]:
        """`missing` without the runs that can't work, which are found before any of them is trained.

        Raises UserError that names them all, unless hydra.sweeper.on_invalid is skip.
        """
        settings = {id: cell.run.setting for id, (cell, _) in missing.items()}
        self.preflight({settings[id]: cell for id, (cell, _) in missing.items() if settings[id] not in self.invalid})
        reasons = {f"{each.name}: {each.reason}": None for plan in plans for each in plan.invalid}
        for id, (cell, _) in missing.items():
            if reason := self.invalid[settings[id]]:
                reasons[f"{cell.arm or 'the run'}: {reason}"] = None
        if reasons and self.on_invalid == "stop":
            raise UserError(
                "\n  ".join(["some configurations of this sweep can't work, so no run is trained:", *reasons])
                + "\nExclude them (ablation.when), or train the others with hydra.sweeper.on_invalid=skip"
            )
        for line in reasons:
            if line not in self.said:
                say(f"left out: {line}")
                self.said.add(line)
        return {id: missing[id] for id in missing if not self.invalid[settings[id]]}

    def preflight(self, cells: dict[str, Cell]) -> None:
        """Fills `invalid` for one cell of each setting."""
        if not cells:
            return
        # In a process that has torch already: this one would take seconds to import it, and never needs it.
        runs = {setting: cell.run for setting, cell in cells.items()}
        self.invalid.update(shared_server().call(check_settings, runs))
        if is_of_this_machine(self.settings.hydra.launcher):
            for setting, run in runs.items():
                try:
                    check_one_machine(run)
                except UserError as error:
                    self.invalid[setting] = self.invalid[setting] or str(error)

    def announce(self, plan: Plan, missing: Missing, stage: int) -> None:
        to_train = sum(cell.id in missing for cell in plan.cells)
        if stage and not to_train:
            return
        counts = (
            f"{len(plan.arms)} arms, {len(plan.cells)} runs: {len(plan.cells) - to_train} done, {to_train} to train"
        )
        later = ""
        if not plan.complete:
            later = ", and more runs when these are tuned" if to_train else ", the others wait for failed tuning runs"
        twice = f"; {len(plan.duplicates)} duplicates are trained once" if plan.duplicates else ""
        say(f"{plan.name}: {counts}{later}{twice}")
        reporting = plan.entry is not None and plan.entry.seen == 0 and not any(c.id in missing for c in plan.tuning)
        if reporting and to_train and (line := at_edges(plan)):
            say(line)

    def conclude(self, plans: Sequence[Plan]) -> None:
        """The last word: how many runs have a result, and where to look at them."""
        for plan in plans:
            records = [record for cell in plan.cells if (record := self.store.read(cell.id)) is not None]
            done, diverged = (sum(r.status == status for r in records) for status in ("done", "diverged"))
            also = f", {diverged} diverged" if diverged else ""
            say(f"{plan.name}: {done} of {len(plan.cells)} runs are done{also}")
        say(f"to see the table: {command_on('table', self.arguments)}")
        add_afterwords(self.store, [cell.id for plan in plans for cell in plan.cells], self.arguments)

    def write(self, plans: Sequence[Plan]) -> None:
        """What the sweep consists of, for tables of sweeps that no file describes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = [
            {
                "name": plan.name,
                "keys": varied_keys(parse_overrides(self.arguments)),
                "arms": {arm: [cell.id for cell in cells if cell] for arm, cells in plan.arms.items()},
                "tuning": [cell.id for cell in plan.tuning],
                "kept": [cell.id for points in plan.kept.values() for cells in points.values() for cell in cells],
            }
            for plan in plans
        ]
        write_atomically(self.folder / "sweep.json", json.dumps({"plans": content}, indent=1))


def due(plan: Plan, is_missing: Callable[[str], bool]) -> list[Cell]:
    """The cells of a plan that can train now.

    Winners wait until all arms are tuned, as in a sweep that nobody interrupts. One that is killed between two arms
    would put the runs of the first together with others than it would have otherwise, and a stack rounds as its
    members are.
    """
    if not any(is_missing(cell.id) for cell in plan.tuning):
        return plan.cells
    tuning = {cell.id for cell in plan.tuning}
    waiting = {cell.id for arm in plan.tuned for cell in plan.arms.get(arm, ()) if cell is not None} - tuning
    waiting |= {cell.id for points in plan.kept.values() for cells in points.values() for cell in cells} - tuning
    return [cell for cell in plan.cells if cell.id not in waiting]


def at_edges(plan: Plan) -> str:
    """What to do about arms whose best value lies at an edge, said when all are tuned and before they are reported."""
    arms = {arm: tuned.edges for arm, tuned in plan.tuned.items() if tuned.edges}
    if not arms:
        return ""
    where = "; ".join(f"{arm} ({', '.join(keys)})" for arm, keys in arms.items())
    return (
        f"{plan.name}: the best value lies at the edge of what was tried for {where}. To try more, press Ctrl-C now, "
        "widen ablation.tune, and give the same command again. Once reporting runs have results, a wider grid must do "
        "with the error that is left for verdicts"
    )


def refuse_unmeasured(plan: Plan) -> None:
    """Raises UserError for finished tuning runs that can't be given the metric that decides between them."""
    if plan.unmeasured and plan.ablation is not None:
        raise UserError(
            f"{len(plan.unmeasured)} finished tuning runs of {plan.name} have no {plan.ablation.select_on}, by which "
            f"arms are tuned, and it can't be computed any more: {', '.join(plan.unmeasured[:3])}. Select on another "
            "metric (ablation.select_on=val/loss), or train them again in another folder (paths.outputs=DIR)"
        )


def command_line(cell: Cell, plan: Plan) -> list[str]:
    """The job of a cell: its overrides, and the labels that its record and its W&B run carry.

    A sweep over nothing but seeds has one arm, which has no name.
    """
    arm = [f"arm={literal(cell.arm)}"] if cell.arm else []
    return [*cell.overrides, f"group={literal(plan.name)}", *arm]

"""The plan of a command: the runs it would train, those it shares, those that can't work, and how long it takes."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.ablation.cells import Cell, Plan
from paribus.ablation.changes import REMEDY, Changed, changed_runs, listed
from paribus.ablation.findings import looks_of
from paribus.ablation.inputs import Inputs
from paribus.base.durations import duration
from paribus.base.errors import UserError
from paribus.base.redaction import redacted_override
from paribus.base.terminal import say
from paribus.config.compose import hydra_context, load, parse_overrides, user_errors
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.evidence.estimate import Costs, Estimate
from paribus.evidence.plans import plans_of
from paribus.evidence.registered import changed, in_words, sentences
from paribus.report.tables.columns import MOST_NEAR
from paribus.run.later import lacking
from paribus.stats.spaces import EDGE
from paribus.store.reader import Reader
from paribus.store.record import FINISHED
from paribus.store.store import Store
from paribus.sweep.capacity import runs_at_a_time
from paribus.sweep.gpus import gpus_here
from paribus.sweep.grouping import Outlook, grouping


@dataclass(frozen=True, repr=False)
class Planned:
    """The plans of a command line, and how much of them is done.

    states: of each run, by its id: missing, running, done, diverged, failed or changed.
    changed: finished runs whose inputs are no longer what they were trained with. missing: the runs to train, by id.
    outlook: the missing runs as they will be put together. slots: runs that train at a time.
    unmeasured: finished runs that lack a metric which is asked for, and whether each has weights to compute it from.
    """

    plans: Sequence[Plan]
    states: Mapping[str, str]
    changed: Sequence[Changed]
    missing: Mapping[str, Cell]
    estimate: Estimate
    outlook: Outlook
    slots: int
    unmeasured: Mapping[str, bool] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    @property
    def seconds(self) -> float | None:
        """Until everything is trained, with `slots` runs at a time; None where no record tells the time of a run."""
        return self.estimate.seconds_on(self.slots)

    def lines(self) -> Iterator[str]:
        """What a person reads."""
        shared = Counter(cell.id for plan in self.plans for cell in plan.cells)
        for plan in self.plans:
            yield from _lines(plan, self.states, shared)
        if self.changed:
            yield (
                f"  finished, but with changed code, files or data: {len(self.changed)} "
                f"runs{listed(self.changed)}\n  {REMEDY}"
            )
        yield from self.outlook.lines
        if self.unmeasured:
            lost = [id for id, kept in self.unmeasured.items() if not kept]
            rest = f"; {len(lost)} have none left and stay without it: {', '.join(lost[:3])}" if lost else ""
            yield (
                f"{len(self.unmeasured)} finished runs lack a metric that is asked for. Training computes it from "
                f"their weights, and trains none again{rest}"
            )
        yield _total(self.missing, len(self.states), self.estimate, self.slots)

    def content(self) -> dict[str, Any]:
        """What a program reads: plain values."""
        return _content(self.plans, self.states, self.missing, self.estimate, self.slots)


def planned(overrides: Sequence[str], measure: bool = False, grouped: bool = True) -> Planned:
    """The plan of `paribus train -m OVERRIDES`.

    measure: time a few updates of each kind of run whose time no record tells.
    grouped: say which runs train together.

    Raises UserError for a command line or an ablation file that can't mean anything, and where no run of it can work.
    """
    composer = Composer()
    store = Store(outputs_folder(overrides, composer))
    read = Reader(store)
    plans = plans_of(overrides, read, composer)
    hydra = _hydra(overrides)
    for plan in plans:
        plan.registered = sentences(plan, read)
    if not any(plan.arms or plan.tuning for plan in plans):  # how should it train, where nothing of it can work?
        raise UserError("\n  ".join(f"{each.name}: {each.reason}" for plan in plans for each in plan.invalid))
    changed = changed_runs(plans, read, Inputs(store.root))
    states = {cell.id: _state(read, cell) for plan in plans for cell in plan.cells}
    states |= {each.id: "changed" for each in changed if each.on_change != "reuse"}
    missing = {cell.id: cell for plan in plans for cell in plan.cells if states[cell.id] not in FINISHED}
    costs = Costs(store.scan() if missing else ())
    estimate = costs.estimate(missing.values())
    slots = _at_a_time(hydra.launcher, missing)
    wanted = missing and (measure or grouped)
    outlook = grouping().outlook(list(missing.values()), slots, store) if wanted else Outlook()
    if measure and estimate.unknown:
        from paribus.sweep.trial import measure as measured

        for number, (cell, runs) in enumerate(estimate.unknown):
            say(f"measuring {number + 1} of {len(estimate.unknown)}: {cell.arm or 'the run'}, for {runs} runs")
            costs.add(*measured(cell, outlook.sizes.get(cell.id, 1)))
        estimate = costs.estimate(missing.values())
    return Planned(plans, states, changed, missing, estimate, outlook, slots, _unmeasured(plans, read))


def _hydra(overrides: Sequence[str]) -> Any:
    """Hydra's own node. Raises UserError for settings there that the sweep would refuse."""
    from paribus.sweep.options import check_hydra

    with hydra_context(), user_errors():
        single = [each for each in parse_overrides(overrides) if not each.is_sweep_override()]
        node = load([each.input_line for each in single]).hydra
        check_hydra(node)
    return node


def _at_a_time(launcher: Mapping[str, Any], missing: Mapping[str, Cell]) -> int:
    """How many of the missing runs train at a time; of several kinds, that of which there is least room."""
    kinds = {(run.device, run.trainer.devices, run.trainer.threads): run for run in (c.run for c in missing.values())}
    return min((runs_at_a_time(launcher, run, gpus_here) for run in kinds.values()), default=1)


def _unmeasured(plans: Sequence[Plan], read: Reader) -> dict[str, bool]:
    found = {}
    for cell in {cell.id: cell for plan in plans for cell in plan.cells}.values():
        record = read(cell.id) if cell.composed.measures_more else None
        if record is not None and lacking(record, cell.run.metrics.only(cell.run.measures)):
            weights = read.store.run_dir(cell.id) / "checkpoints" / f"{record.evaluated}.ckpt"
            found[cell.id] = weights.exists()
    return found


def _state(read: Reader, cell: Cell) -> str:
    record = read(cell.id)
    return record.status if record else "missing"


def _lines(plan: Plan, states: Mapping[str, str], shared: Counter[str]) -> Iterator[str]:
    width = max([3, *(len(arm or "run") for arm in plan.arms)])
    for arm, cells in plan.arms.items():
        found = [cell for cell in cells if cell is not None]
        line = _counted(states[cell.id] for cell in found) or "waits for its tuning"
        if tuning := [cell for cell in plan.tuning if cell.arm == arm]:
            line += f"; tuning: {_counted(states[cell.id] for cell in tuning)}"
        if tuned := plan.tuned.get(arm):
            line += f"; best: {_point(tuned.point)}"
            edge = f"in the outermost {100 * EDGE:g} % of its range" if tuned.space else "at the edge of its grid"
            line += "".join(f" (WARNING: {key} {edge})" for key in tuned.edges)
            if points := plan.kept.get(arm):
                near = [_point(tuned.trials[place][0]) for place in points]
                if len(near) > MOST_NEAR:
                    near[MOST_NEAR - 1 :] = [f"{len(near) - MOST_NEAR + 1} others"]
                line += f"; too near to tell apart, so reported as well: {' | '.join(near)} "
                line += f"({_counted(states[cell.id] for cells in points.values() for cell in cells)})"
        yield f"  {(arm or 'run').ljust(width)}  {line}"
    if others := [cell for cell in plan.tuning if cell.arm not in plan.arms]:
        yield f"  {'steps'.ljust(width)}  {_counted(states[cell.id] for cell in others)}"
    for each in plan.excluded:
        yield f"  excluded: {each.name}: {each.reason}"
    for each in plan.invalid:
        yield f"  can't work: {each.name}: {each.reason}"
    if plan.entry is not None and plan.registration is not None:
        entries = plan.registration.of(plan.entry.recipe).entries
        if not entries or entries[-1].content != plan.entry.content:
            what = "an amendment" if entries else "what is compared"
            yield f"  training would register {what} ({plan.entry.seen} seeds of an arm have results):"
            lines = changed(entries[-1], plan.entry) if entries else in_words(plan.entry)
            yield from (f"    {line}" for line in lines)
            if entries and (looks := looks_of(plan.ablation)) is not None:
                sizes = zip(looks.sizes, looks.shares, strict=True)
                left = sum(share for size, share in sizes if size > plan.entry.seen)
                yield f"    the looks that come may spend {100 * left:.0f} % of the error"
        yield from (f"  {said}" for said in plan.registered[0 if entries else 1 :])
    if plan.duplicates:
        yield f"  duplicates, trained once: {len(plan.duplicates)} runs"
    done = sum(states[cell.id] in FINISHED for cell in plan.cells)
    several = sum(shared[cell.id] > 1 for cell in plan.cells)
    yield (
        f"{plan.name}: {len(plan.arms)} arms, {len(plan.cells)} runs, {done} done, {len(plan.cells) - done} to train"
        + (f", {several} shared with another plan" if several else "")
        + ("" if plan.complete else "; more runs when these are tuned")
    )


def _point(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in point.items())


def _counted(states: Any) -> str:
    counts = Counter(states)
    return ", ".join(f"{number} {state}" for state, number in counts.items())


def _total(missing: Mapping[str, Cell], runs: int, estimate: Estimate, slots: int) -> str:
    if not missing:
        return f"all {runs} runs are done"
    line = f"{len(missing)} of {runs} runs to train"
    without = sum(number for _, number in estimate.unknown)
    if (seconds := estimate.seconds_on(slots)) is not None:
        line += f": about {duration(seconds)} with {slots} at a time" + (f" for {estimate.known}" if without else "")
    if without:
        line += f"; time unknown for {without} runs; add --measure to time a few updates"
    return line


def _content(
    plans: Sequence[Plan], states: Mapping[str, str], missing: Mapping[str, Cell], estimate: Estimate, slots: int
) -> dict[str, Any]:
    written = functools.cache(redacted_override)  # cells share most of their overrides

    def runs(cells: Any) -> list[dict[str, Any]]:
        return [
            {"id": c.id, "seed": c.seed, "status": states[c.id], "overrides": [*map(written, c.overrides)]}
            for c in cells
            if c
        ]

    return {
        "plans": [
            {
                "name": plan.name,
                "metric": plan.metric,
                "complete": plan.complete,
                "arms": {arm: runs(cells) for arm, cells in plan.arms.items()},
                "tuning": [{"arm": cell.arm, **run} for cell in plan.tuning for run in runs([cell])],
                "tuned": {arm: {"point": dict(t.point), "edges": list(t.edges)} for arm, t in plan.tuned.items()},
                "kept": {
                    arm: [
                        {"point": dict(plan.tuned[arm].trials[place][0]), "runs": runs(cells)}
                        for place, cells in points.items()
                    ]
                    for arm, points in plan.kept.items()
                },
                "registration": {
                    "said": list(plan.registered),
                    "now": {"seen": plan.entry.seen, "content": plan.entry.content} if plan.entry else None,
                },
                "excluded": {each.name: each.reason for each in plan.excluded},
                "invalid": {each.name: each.reason for each in plan.invalid},
                "duplicates": [cell.id for cell in plan.duplicates],
            }
            for plan in plans
        ],
        "to_train": list(missing),
        "estimate": {
            "seconds": estimate.seconds_on(slots),
            "slots": slots,
            "runs_known": estimate.known,
            "runs_unknown": sum(number for _, number in estimate.unknown),
        },
    }

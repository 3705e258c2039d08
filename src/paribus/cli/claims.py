"""`paribus claims`: the scoreboard of all claims, and with --run the trainings and checks that it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from paribus.base.text import near
from paribus.cli.reports import write
from paribus.durations import duration
from paribus.errors import Interrupted, UserError
from paribus.memory import uncollected
from paribus.notes import scoreboard
from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import Check
from paribus.notes.shipped import Shipped
from paribus.plan.ablation import Ablation
from paribus.plan.command import plan_command
from paribus.plan.compose import group_options, hydra_context
from paribus.plan.composer import Composer
from paribus.plan.estimate import Costs
from paribus.plan.outputs import outputs_folder
from paribus.plan.planner import ablations_of
from paribus.report.scoreboard import csv_text
from paribus.report.table import RENDER
from paribus.report.verdicts import claims
from paribus.store.reader import Reader
from paribus.store.store import Store
from paribus.terminal import say

LAST = "batch_time"  # it measures time: everything else should be over


def show_claims(
    names: Sequence[str], form: str, output: str | None, only: Sequence[str], run: bool, results: str | None
) -> None:
    """Prints the scoreboard of these ablations and all checks, or of all.

    only: beginnings of ids; others are left out. run: train and check what is missing first.
    results: a file that `scripts/results.py` wrote, read in place of the outputs folder.
    """
    if results is not None:
        if run:
            raise UserError("--results shows what a file holds, and --run trains. Drop one of them")
        shipped = Shipped.read(Path(results))
        for name in names:
            if _name(name) not in shipped.plans:
                known = [*shipped.plans]
                raise UserError(
                    f"{results} holds no ablation {_name(name)}.{near(_name(name), known)} It has {', '.join(known)}"
                )
        plans = {n: p for n, p in shipped.plans.items() if not names or n in map(_name, names)}
        found = scoreboard.lines(
            [claim for each in plans.values() for claim in claims(each, shipped.record)],
            [(check, shipped.checks.get(check.id)) for check in stored.chosen(only)] if not names else [],
        )
    else:
        overrides = [name for name in names if "=" in name and not name.startswith("ablation=")]
        composer = Composer()
        store = Store(outputs_folder(overrides, composer))
        wanted = asked([_name(name) for name in names if name not in overrides], composer, only, overrides)
        checks = stored.chosen(only) if len(overrides) == len(names) else []
        if run:
            _run(store, wanted, checks, overrides, composer)
        read = Reader(store)
        with uncollected():
            found = scoreboard.lines(
                [
                    claim
                    for name in wanted
                    for claim in claims(plan_command([f"ablation={name}", *overrides], read, composer), read)
                ],
                [(check, stored.read(store, check.id)) for check in checks],
            )
    found = [line for line in found if not only or any(line.id.startswith(each) for each in only)]
    if not found:
        raise UserError(f"no claim has an id that begins with {' or '.join(only) or 'anything'}. Try --only 1.3")
    if form == "csv":
        return write(csv_text(found), output)
    write("\n".join(RENDER[form](sheet, heading=True) for sheet in scoreboard.sheets(found)), output)


def asked(
    names: Sequence[str], composer: Composer, only: Sequence[str] = (), overrides: Sequence[str] = ()
) -> list[str]:
    """The ablations with hypotheses among `names` (all, without any) and `only`; the one that takes times last."""
    found = []
    with hydra_context():
        for name in names or group_options("ablation"):
            parsed: list[Ablation] = ablations_of([f"ablation={name}", *overrides], composer)
            ids = [each.id for ablation in parsed for each in ablation.hypotheses]
            if ids and (not only or any(id.startswith(each) for id in ids for each in only)):
                found.append(name)
            elif names and not ids:
                raise UserError(f"the ablation {name} has no hypotheses. Write them: ablation.hypotheses")
    return sorted(found, key=lambda name: name == LAST)


def _name(word: str) -> str:
    return word.removeprefix("ablation=")


def _run(
    store: Store, names: Sequence[str], checks: Sequence[Check], overrides: Sequence[str], composer: Composer
) -> None:
    """First how long it takes, then checks, ablations, and the checks that read their records."""
    missing = _estimate(store, names, overrides, composer)
    waiting = [check for check in checks if not stored.current(store, check)]
    _check(store, [check for check in waiting if check.needs is None])
    failed = []
    for name in missing:
        line = ["train", "-m", f"ablation={name}", *overrides]
        say(f"paribus {' '.join(line)}")
        # A process of its own: Hydra is made for one application to a process.
        code = subprocess.run([sys.executable, "-m", "paribus", *line]).returncode
        if code in (130, -2):
            raise Interrupted("stopped; the same command goes on")
        failed += [name] if code else []
    _check(store, [check for check in waiting if check.needs is not None])
    if failed:
        say(f"not everything could be trained: {', '.join(failed)}; the same command tries again")


def _estimate(store: Store, names: Sequence[str], overrides: Sequence[str], composer: Composer) -> list[str]:
    """Says what is missing of each ablation and how long that takes; the ablations that something is missing of."""
    read = Reader(store)
    costs = Costs(store.scan())
    slots = os.cpu_count() or 1
    found, total, unknown = [], 0.0, 0
    for name in names:
        plans = plan_command([f"ablation={name}", *overrides], read, composer)
        cells = [
            cell for plan in plans for cell in plan.cells if (record := read(cell.id)) is None or not record.has_result
        ]
        if not cells and all(plan.complete for plan in plans):
            continue
        found.append(name)
        estimate = costs.estimate(cells)
        total, unknown = total + estimate.seconds, unknown + sum(number for _, number in estimate.unknown)
        later = "" if all(plan.complete for plan in plans) else ", more when these are tuned"
        say(f"{name}: {len(cells)} runs to train{later}{_time(estimate.seconds, estimate.known, slots)}")
    if found:
        more = f"; no record tells the time of {unknown} runs (paribus plan --measure)" if unknown else ""
        say(f"all together{_time(total, 1, slots)}{more}")
    return found


def _time(seconds: float, known: int, slots: int) -> str:
    return f": about {duration(seconds / slots)} with {slots} at a time" if known and seconds else ""


def _check(store: Store, checks: Sequence[Check]) -> None:
    for number, check in enumerate(checks):
        say(f"check {number + 1} of {len(checks)}: {check.id}: {check.claim}")
        try:
            stored.make(store, check)
        except UserError as error:
            say(f"  left out: {error}")

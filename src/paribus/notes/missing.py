"""Runs and checks that claims lack: how long they take, and their making."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from paribus.base.durations import duration
from paribus.base.errors import Interrupted, UserError
from paribus.base.terminal import say
from paribus.config.composer import Composer
from paribus.evidence.estimate import Costs
from paribus.evidence.plans import plans_of
from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import Check
from paribus.store.reader import Reader
from paribus.store.store import Store
from paribus.sweep.slots import cores


def make_missing(
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
            raise Interrupted("stopped; the same command resumes")
        failed += [name] if code else []
    _check(store, [check for check in waiting if check.needs is not None])
    if failed:
        say(f"some runs could not be trained: {', '.join(failed)}; the same command tries again")


def _estimate(store: Store, names: Sequence[str], overrides: Sequence[str], composer: Composer) -> list[str]:
    """Says what is missing of each ablation and how long that takes; the ablations that something is missing of."""
    read = Reader(store)
    costs = Costs(store.scan())
    slots = cores()
    found, total, unknown = [], 0.0, 0
    for name in names:
        plans = plans_of([f"ablation={name}", *overrides], read, composer)
        cells = [
            cell for plan in plans for cell in plan.cells if (record := read(cell.id)) is None or not record.has_result
        ]
        if not cells and all(plan.complete for plan in plans):
            continue
        found.append(name)
        estimate = costs.estimate(cells)
        total, unknown = total + estimate.seconds, unknown + sum(number for _, number in estimate.unknown)
        later = "" if all(plan.complete for plan in plans) else ", and more runs when these are tuned"
        say(f"{name}: {len(cells)} runs to train{later}{_time(estimate.seconds, estimate.known, slots)}")
    if found:
        more = f"; time unknown for {unknown} runs; paribus plan --measure times a few updates" if unknown else ""
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

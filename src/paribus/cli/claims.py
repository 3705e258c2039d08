"""`paribus claims`: verdicts on a user's claims or the notes'; with --run, what they lack is trained and checked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from paribus.ablation.ablation_files import all_names, file_of
from paribus.ablation.command import plan_command
from paribus.ablation.estimate import Costs
from paribus.ablation.file import Ablation
from paribus.ablation.outputs import outputs_folder
from paribus.ablation.planner import ablations_of
from paribus.base.durations import duration
from paribus.base.errors import Interrupted, UserError
from paribus.base.memory import uncollected
from paribus.base.terminal import say
from paribus.base.text import near
from paribus.cli.reports import write
from paribus.config.compose import group_options, hydra_context
from paribus.config.composer import Composer
from paribus.evidence.checks import read as read_check
from paribus.notes import ablations as notes
from paribus.notes import scoreboard as by_section
from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import Check
from paribus.report import scoreboard
from paribus.report.packed import Shipped
from paribus.report.scoreboard import Line, csv_text
from paribus.report.tables.table import RENDER
from paribus.report.verdicts import Claim, claims
from paribus.store.reader import Reader
from paribus.store.store import Store

NOTES = notes.FOLDER


def show_claims(
    names: Sequence[str], form: str, output: str | None, only: Sequence[str], run: bool, results: str | None
) -> None:
    """Prints the scoreboard of these ablations. No name stands for the user's own, `notes` for those of the notes.

    only: beginnings of ids; others are left out. run: train and check what is missing first.
    results: a file that `scripts/results.py` wrote, read in place of the outputs folder.
    """
    if results is not None:
        if run:
            raise UserError("--results shows a file and --run trains, so they can't be combined. Drop one of them")
        found = _packed(Path(results), [_name(name) for name in names], only)
    else:
        overrides = [name for name in names if "=" in name and not name.startswith("ablation=")]
        asked_for = [_name(name) for name in names if name not in overrides]
        composer = Composer()
        store = Store(outputs_folder(overrides, composer))
        wanted, checks = asked(asked_for, composer, only, overrides)
        if run:
            _run(store, wanted, checks, overrides, composer)
        read = Reader(store)

        def claims_of(names: Sequence[str]) -> list[Claim]:
            plans = [plan_command([f"ablation={name}", *overrides], read, composer) for name in names]
            return [claim for each in plans for claim in claims(each, read)]

        with uncollected():
            found = scoreboard.lines(claims_of([name for name in wanted if not notes.are(name)]))
            made = [(check, read_check(store, check.id)) for check in checks]
            found += by_section.lines(claims_of([name for name in wanted if notes.are(name)]), made)
    found = [line for line in found if not only or any(line.id.startswith(each) for each in only)]
    if not found:
        raise UserError(_no_claim(names, only))
    if form == "csv":
        return write(csv_text(found), output)
    own = [line for line in found if not line.section]
    sheets = [*scoreboard.sheets(own), *by_section.sheets([line for line in found if line.section])]
    write("\n".join(RENDER[form](sheet, heading=True) for sheet in sheets), output)


def _packed(path: Path, names: Sequence[str], only: Sequence[str]) -> list[Line]:
    """The lines of a file of results, which are the notes'."""
    packed = Shipped.read(path)
    whole = not names or NOTES in names
    short = [name.removeprefix(f"{NOTES}/") for name in names if name != NOTES]
    for name in short:
        if name not in packed.plans:
            known = [*packed.plans]
            raise UserError(f"{path} holds no ablation {name}.{near(name, known)} It has {', '.join(known)}")
    plans = [plans for name, plans in packed.plans.items() if whole or name in short]
    made = [(check, packed.checks.get(check.id)) for check in stored.chosen(only)] if whole else []
    return by_section.lines([claim for each in plans for claim in claims(each, packed.record)], made)


def asked(
    names: Sequence[str], composer: Composer, only: Sequence[str] = (), overrides: Sequence[str] = ()
) -> tuple[list[str], list[Check]]:
    """The ablations and the checks of these names and `only`; the ablation that takes times last.

    No name stands for the user's own ablations, `notes` for all of the notes unless a user's file is called so.
    """
    everything = NOTES in names and file_of(NOTES) is None
    named = [name for name in names if not (everything and name == NOTES)]
    with hydra_context():
        known = group_options("ablation")
        for name in named:
            if name not in known and file_of(name) is None:
                meant = near(name, [*known, NOTES])
                listed = ", ".join([*known, f"{NOTES} (all of the lecture notes)"])
                raise UserError(f"there is no ablation {name}.{meant} There are {listed}")
        own = [] if names else [name for name in all_names() if not notes.are(name)]
        theirs = [notes.word(name) for name in notes.names()] if everything else []
        found = []
        for name in dict.fromkeys([*named, *own, *theirs]):
            parsed: list[Ablation] = ablations_of([f"ablation={name}", *overrides], composer)
            ids = [each.id for ablation in parsed for each in ablation.hypotheses]
            if ids and (not only or any(id.startswith(each) for id in ids for each in only)):
                found.append(name)
            elif name in named and not ids:
                raise UserError(f"the ablation {name} has no hypotheses. Write them: ablation.hypotheses")
    found.sort(key=notes.takes_times)
    return found, stored.chosen(only) if everything else []


def _no_claim(names: Sequence[str], only: Sequence[str]) -> str:
    """Why there is nothing to show, and what to type next."""
    if NOTES in map(_name, names):
        return f"no claim of the notes has an id that begins with {' or '.join(only)}. Try --only 1.3"
    why = (
        f"no claim of these ablations has an id that begins with {' or '.join(only)}. Drop --only"
        if only
        else "no ablation of yours has hypotheses. Write them in its file: ablation.hypotheses"
    )
    more = "".join(f" --only {each}" for each in only)
    return f"{why}. The claims of the lecture notes: paribus claims {NOTES}{more}"


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
            raise Interrupted("stopped; the same command resumes")
        failed += [name] if code else []
    _check(store, [check for check in waiting if check.needs is not None])
    if failed:
        say(f"some runs could not be trained: {', '.join(failed)}; the same command tries again")


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

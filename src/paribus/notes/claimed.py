"""The claims of a command line: those of a user's ablations, and those of the notes with their checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paribus.ablation.ablation_files import all_names, file_of
from paribus.ablation.file import Ablation
from paribus.ablation.planner import ablations_of
from paribus.base.errors import UserError
from paribus.base.memory import uncollected
from paribus.base.text import near
from paribus.config.ablations import shipped
from paribus.config.compose import group_options, hydra_context
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.evidence.checks import read as read_check
from paribus.evidence.plans import plans_of
from paribus.notes import ablations as notes
from paribus.notes import scoreboard as by_section
from paribus.notes.checks import stored
from paribus.notes.checks.catalogue import Check
from paribus.notes.missing import make_missing
from paribus.report import scoreboard
from paribus.report.packed import Shipped
from paribus.report.scoreboard import Line
from paribus.report.verdicts import Claim, claims
from paribus.store.reader import Reader
from paribus.store.store import Store

NOTES = notes.FOLDER


def claimed(words: Sequence[str], only: Sequence[str], run: bool, results: str | None) -> list[Line]:
    """The lines of the scoreboard. No name stands for the user's own ablations, `notes` for those of the notes.

    words: names of ablations, and overrides. only: beginnings of ids; others are left out.
    run: train and check what is missing first.
    results: a file that `scripts/results.py` wrote, read in place of the outputs folder.

    Raises UserError where no claim is left.
    """
    if results is not None:
        if run:
            raise UserError("--results shows a file and --run trains, so they can't be combined. Drop one of them")
        found = _packed(Path(results), [_name(word) for word in words], only)
    else:
        overrides = [word for word in words if "=" in word and not word.startswith("ablation=")]
        found = _recorded([_name(word) for word in words if word not in overrides], overrides, only, run)
    found = [line for line in found if not only or any(line.id.startswith(each) for each in only)]
    if not found:
        raise UserError(_no_claim(words, only))
    return found


def _recorded(names: Sequence[str], overrides: Sequence[str], only: Sequence[str], run: bool) -> list[Line]:
    """The lines of what the outputs folder holds."""
    composer = Composer()
    store = Store(outputs_folder(overrides, composer))
    wanted, checks = asked(names, composer, only, overrides)
    if run:
        make_missing(store, wanted, checks, overrides, composer)
    read = Reader(store)

    def claims_of(names: Sequence[str]) -> list[Claim]:
        plans = [plans_of([f"ablation={name}", *overrides], read, composer) for name in names]
        return [claim for each in plans for claim in claims(each, read)]

    with uncollected():
        found = scoreboard.lines(claims_of([name for name in wanted if not notes.are(name)]))
        made = [(check, read_check(store, check.id)) for check in checks]
        return found + by_section.lines(claims_of([name for name in wanted if notes.are(name)]), made)


def _packed(path: Path, names: Sequence[str], only: Sequence[str]) -> list[Line]:
    """The lines of a file of results, which are the notes'."""
    packed = Shipped.read(path)
    whole = not names or NOTES in names
    short = [name.rpartition("/")[2] for name in names if name != NOTES]
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
        ours = {*shipped().values()}
        own = [] if names else [name for name in all_names() if file_of(name) not in ours]
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

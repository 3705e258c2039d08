"""Comparability: the runs of one table must share budget, data and the like, or it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paribus.base.text import near
from paribus.evidence.arms import Arms, ReportError, is_seed, level, level_text, levels, varied
from paribus.store.record import Record

# The choices by which a table varies such a fact on purpose; a dot at the end stands for all below. A data
# set brings its recommended budget along.
VARIED_BY: Mapping[str, tuple[str, ...]] = {
    "semantics": (),
    "budget": ("budget.", "data.epochs", "data"),
    "data": (
        *("data", "data.source.", "data.subset", "data.validation", "data.split_seed", "data.test"),
        *("data.label_noise", "data.noise_seed", "data.standardize"),
    ),
    "world_size": ("trainer", "trainer.devices", "trainer.num_nodes"),
    "precision": ("trainer", "trainer.precision"),
    "evaluated": ("evaluation.checkpoint",),
}


def factors(arms: Arms) -> list[str]:
    """The choices that tell arms apart: some two arms have no value of them in common."""
    groups = [[record for record in records if record is not None] for records in arms.values()]
    groups = [group for group in groups if group]
    everyone = [record for group in groups for record in group]
    found = []
    for key in varied(everyone):
        distinct = list(dict.fromkeys(frozenset(levels(group, key)) for group in groups))
        if any(not a & b for i, a in enumerate(distinct) for b in distinct[:i]):
            found.append(key)
    return found


def held_equal(records: Sequence[Record]) -> dict[str, str]:
    """The choices that all records make alike."""
    differing = {*varied(records)}
    common = [key for key in records[0].choices if not is_seed(key) and key != "on_change"] if records else []
    return {key: level_text(level(records[0], key)) for key in common if key not in differing}


def shared_facts(arms: Arms, varied: Sequence[str], mix: Sequence[str] = ()) -> dict[str, Any]:
    """The facts of `comparable` and `evaluated` on which all records agree; "varies" or "mixed" for others.

    The runs of an arm agree in all of them, and arms may differ in those that the choices `varied` change.

    mix: facts that may differ all the same.

    Raises ReportError that names the fact, two runs which differ in it, and the remedy.
    """
    facts: dict[str, Any] = {}
    groups = {arm: [record for record in records if record is not None] for arm, records in arms.items()}
    everyone = _unlike([record for group in groups.values() for record in group])
    if mix and everyone:
        _check_mix(mix, [record for group in groups.values() for record in group])
    for key in dict.fromkeys(key for record in everyone for key in (*record.comparable, "evaluated")):
        if len(_values(everyone, key)) <= 1:
            facts[key] = fact(everyone[0], key)
            continue
        if key in mix:
            facts[key] = "mixed"
            continue
        for arm, group in groups.items():
            if len(_values(group, key)) > 1:
                raise _refusal(group, key, f"the runs of {arm!r}")
        if not any(_changes(choice, key) for choice in varied):
            raise _refusal(everyone, key, "these runs")
        facts[key] = "varies"
    return facts


def _check_mix(mix: Sequence[str], records: Sequence[Record]) -> None:
    """Raises ReportError for a name that is neither a fact nor a choice of the records."""
    facts = dict.fromkeys(name for record in records for name in (*record.comparable, "evaluated"))
    known = [*facts, *dict.fromkeys(name for record in records for name in record.choices)]
    if strange := [key for key in mix if key not in known]:
        raise ReportError(
            f"--mix needs a name of something in which runs may differ, got {strange[0]}.{near(strange[0], known)} "
            f"There are {', '.join(facts)}, and the choices of the runs"
        )


def _unlike(records: Sequence[Record]) -> list[Record]:
    """One record of each set of facts: thousands of runs have a handful."""
    return list({str((record.comparable, record.evaluated)): record for record in records}.values())


def _changes(choice: str, key: str) -> bool:
    allowed = VARIED_BY.get(key, (key,))
    return choice in allowed or any(choice.startswith(each) for each in allowed if each.endswith("."))


def fact(record: Record, key: str) -> Any:
    return record.evaluated if key == "evaluated" else record.comparable.get(key)


def _values(records: Sequence[Record], key: str) -> dict[str, Record]:
    return {str(fact(record, key)): record for record in records}


def _refusal(records: Sequence[Record], key: str, whose: str) -> ReportError:
    values = _values(records, key)
    shown = "; ".join(f"{value} (run {record.id})" for value, record in list(values.items())[:3])
    return ReportError(
        f"the runs of a table may differ only in what it varies, but {whose} differ in {key}: "
        f"{shown}. Leave some runs out, or allow it with --mix {key}"
    )

"""The scoreboard of the notes: every claim by section, from ablations and checks alike, in one form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from paribus.evidence.checks import Stored
from paribus.evidence.measurement import MEANING, Measurement
from paribus.notes.checks.catalogue import Check
from paribus.report import scoreboard
from paribus.report.numbers import NONE, short
from paribus.report.scoreboard import MEASURED, NOT_RUN, OUTCOMES, Line, of_claims
from paribus.report.tables.sheet import Entry, Sheet
from paribus.report.verdicts import Claim

SECTIONS: Mapping[str, str] = {
    "1.1": "1.1 Local minima and saddle points",
    "1.2": "1.2 Batch size and momentum",
    "1.3": "1.3 Optimizers and schedules",
    "1.4": "1.4 Targets and losses",
    "1.5": "1.5 Normalization",
    "2.1": "2.1 Transformers and sequences",
}
METHOD = "The method itself"
CAPTION = f"{MEASURED}. Effect of a check: the measured number. {OUTCOMES} {MEANING}"


def lines(found: Sequence[Claim], checks: Sequence[tuple[Check, Stored | None]]) -> list[Line]:
    """All lines, in the order of the ids; regimes of one claim together, and their common verdict first."""
    made = of_claims(found) + [_of_check(check, stored) for check, stored in checks]
    groups = [[replace(line, section=SECTIONS.get(line.id[:3], METHOD)) for line in group] for group in made]
    groups.sort(key=lambda group: (group[0].section == METHOD, group[0].id.split("-")[:2], group[0].id))
    return [line for group in groups for line in group]


def sheets(found: Sequence[Line]) -> list[Sheet]:
    """A table for each section of the notes."""
    return scoreboard.sheets(found, CAPTION)


def _of_check(check: Check, stored: Stored | None) -> list[Line]:
    if stored is None:
        return [
            Line(check.id, check.claim, "check", "", "", Entry(NONE), 0, NOT_RUN, "no result yet", check.literature)
        ]
    made = []
    if len(stored.measurements) > 1:
        n = min(each.n for each in stored.measurements)
        groups: dict[str, list[str]] = {}
        for each in stored.measurements:
            groups.setdefault(each.outcome.lower(), []).append(each.regime)
        said = " — ".join(f"{kind}: {'; '.join(dict.fromkeys(names))}" for kind, names in groups.items())
        made.append(
            Line(check.id, check.claim, "check", "all", "", Entry(""), n, stored.outcome, said, check.literature)
        )
    for each in stored.measurements:
        made.append(
            Line(check.id, check.claim, "check", each.regime, each.quantity, _measured(each), each.n, each.outcome,
                 each.words, check.literature)
        )  # fmt: skip
    return made


def _measured(each: Measurement) -> Entry:
    if math.isnan(each.measured):
        return Entry(NONE)
    rest = [f"({short(each.low)} to {short(each.high)})"] if math.isfinite(each.high - each.low) else []
    if said := wanted(each):
        rest.append(f"expected {said}")
    return Entry(short(each.measured), ", ".join(rest))


def wanted(each: Measurement) -> str:
    """What a check expects: 1 ± 0.05, ≤ 0.1; nothing where the claim names no number."""
    if not math.isfinite(each.expected):
        return ""
    sign = {"": "", "at most": "≤ ", "at least": "≥ "}[each.bound]
    within = f" ± {short(each.tolerance)}" if math.isfinite(each.tolerance) and each.tolerance > 0 else ""
    return f"{sign}{short(each.expected)}{within}"

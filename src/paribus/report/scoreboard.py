"""The scoreboard: the claims of ablations with effect, verdict and literature, in one form."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paribus.ablation.findings import Finding
from paribus.base.metrics import Key
from paribus.report.escape import spreadsheet
from paribus.report.numbers import NONE, difference_unit, name, p_value, scale, text, title
from paribus.report.tables.columns import with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of
from paribus.report.verdicts import (
    Claim,
    because,
    board,
    compared,
    detectable_text,
    everywhere,
    finding_notes,
    needed,
    overall_because,
    places,
)
from paribus.stats.regimes import DEPENDS
from paribus.stats.verdict import MEANING

NOT_RUN = "not run"
EVERYWHERE = "everywhere"  # the regime of a verdict over several ablations
MEASURED = (
    "Effect of an ablation: the difference in the column `measured`, paired by seed, with the bounds that decided (in "
    "percentage points for an accuracy)"
)
OUTCOMES = (
    f"{' '.join(f'{word}: {meaning}.' for word, meaning in MEANING.items())} CONDITIONAL: {DEPENDS}. Gain: the "
    "difference in the claimed direction. Bounds are adjusted by Holm over all comparisons of a regime. FDR: the "
    "smallest false discovery rate, over all verdicts of the board, at which a verdict stands (Benjamini and Hochberg)."
    " Detectable: if a verdict is open, the gain that n seeds would have shown to be positive with 80 % power. n for d:"
    " the number of seeds that would show a gain of d with 80 % power, given the measured standard deviation, at the "
    "level of the bounds."
)
CAPTION = f"{MEASURED}. {OUTCOMES}"


@dataclass(frozen=True)
class Line:
    """A claim in one regime, or over all of them.

    source: the ablation or `check`. effect: what was measured, with its interval. detectable: the smallest effect that
    n would have found, where the verdict is open. needed: the n that finds the smallest effect of interest. discovery:
    the false discovery rate at which the verdict stands. words: what it says, for people. section: the title of its
    table; empty where there is only one.
    """

    id: str
    claim: str
    source: str
    regime: str
    quantity: str
    effect: Entry
    n: int
    verdict: str
    words: str
    literature: str
    detectable: Entry = Entry("")  # noqa: RUF009
    needed: Entry = Entry("")  # noqa: RUF009
    notes: tuple[str, ...] = ()
    section: str = ""
    discovery: Entry = Entry("")  # noqa: RUF009

    def content(self) -> dict[str, Any]:
        """What a program reads. Numbers are as the table prints them: in percentage points for an accuracy."""
        entries = {name: getattr(self, name).text for name in ("effect", "detectable", "needed", "discovery")}
        return {
            **{name: getattr(self, name) for name in ("id", "claim", "source", "regime", "quantity", "n", "verdict")},
            **{name: _number(text) for name, text in entries.items()},
            "interval": self.effect.rest,
            **{name: getattr(self, name) for name in ("words", "literature", "section")},
            "notes": list(self.notes),
        }


def _number(text: str) -> float | str | None:
    """What a cell says; words where it is no plain number, such as "< 0.001"."""
    try:
        return float(text.replace("−", "-").replace(",", ""))
    except ValueError:
        return text or None


def lines(found: Sequence[Claim]) -> list[Line]:
    """All lines, in the order of the claims; regimes of one claim together, and their common verdict first."""
    return [line for group in of_claims(found) for line in group]


def of_claims(found: Sequence[Claim]) -> list[list[Line]]:
    """The lines of each claim; last, of one that other ablations ask elsewhere, the verdict over all of them."""
    rated = board(found)
    whole = everywhere(rated)
    return [of_claim(claim) + ([_common(whole[claim.id], EVERYWHERE)] if claim.id in whole else []) for claim in rated]


def sheets(found: Sequence[Line], caption: str = CAPTION) -> list[Sheet]:
    """A table for each section, in their order."""
    sections = dict.fromkeys(line.section for line in found)
    return [_sheet(each, [line for line in found if line.section == each], caption) for each in sections]


def csv_text(found: Sequence[Line]) -> str:
    """One row for each line, numbers as they are printed."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ("section", "id", "claim", "source", "regime", "quantity", "effect", "interval", "n", "verdict", "fdr")
    writer.writerow([*head, "detectable", "needed", "words", "literature"])
    for line in found:
        own = (line.section, line.id, line.claim, line.source, line.regime, line.quantity)
        effect = (line.effect.text, line.effect.rest, line.n, line.verdict, line.discovery.text)
        rest = (line.detectable.text, line.needed.text, line.words, line.literature)
        writer.writerow(map(spreadsheet, [*own, *effect, *rest]))
    return buffer.getvalue()


def words(finding: Finding) -> str:
    """The verdict as a sentence: what was seen, and what it means for the claim."""
    d, outcome, metric = finding.difference, finding.verdict.outcome, finding.hypothesis.metric
    if not d.n:
        return "no result yet"
    amount = text(abs(d.mean) * scale(metric), places(finding))
    arm, versus = _ends(finding)
    if float(amount) == 0:
        seen = f"{name(metric)} is the same with {arm} and {versus}, to all digits that count"
    else:
        more = "higher" if d.mean > 0 else "lower"
        seen = f"{name(metric)} is {amount}{_unit(metric)} {more} with {arm} than with {versus}"
    saying = {
        "SUPPORTED": f"holds: {seen}",
        "NEGLIGIBLE": f"does not matter: {seen}",
        "REVERSED": f"the opposite holds: {seen}",
        "POSITIVE": f"holds, and may be too small to matter: {seen}",
        "INCONCLUSIVE": f"open: {seen}",
    }
    return f"{saying[outcome]}; {because(finding)}"


def _unit(metric: Key) -> str:
    return difference_unit(metric) or (" ms" if metric == "ms_per_update" else "")


def _ends(finding: Finding) -> tuple[str, str]:
    if len(finding.pairs) == 1:
        return finding.pairs[0]
    arm, versus = finding.hypothesis.arm, finding.hypothesis.versus
    names = ", ".join(f"{key}={value}" for key, value in arm.items())
    return names, ", ".join(f"{key}={value}" for key, value in versus.items())


def of_claim(claim: Claim) -> list[Line]:
    """The lines of one claim."""
    made = [_common(claim, "all")] if len(claim.findings) > 1 else []
    said = claim.findings[0].hypothesis.literature
    for each, rate in zip(claim.findings, claim.discovery, strict=True):
        d, metric = each.difference, each.hypothesis.metric
        effect = with_interval(d.mean, d.low, d.high, metric) if d.n else Entry(NONE)
        outcome = each.verdict.word if d.n else NOT_RUN
        least = Entry(detectable_text(each)) if outcome == "INCONCLUSIVE" else Entry("")
        quantity = f"{title(metric)}: {compared(each)}"
        made.append(
            Line(claim.id, claim.claim, claim.ablation, each.regime or "", quantity, effect, d.n, outcome, words(each),
                 said, least, Entry(needed(each)), tuple(finding_notes(each)) if d.n else (),
                 discovery=_rate(rate))
        )  # fmt: skip
    return made


def _common(claim: Claim, regime: str) -> Line:
    """What all findings of a claim say together."""
    outcome = claim.overall.outcome if any(each.difference.n for each in claim.findings) else NOT_RUN
    n = min((each.difference.n for each in claim.findings), default=0)
    return Line(
        claim.id, claim.claim, claim.ablation, regime, "", Entry(""), n, outcome, overall_because(claim),
        claim.findings[0].hypothesis.literature, discovery=_rate(claim.overall_discovery),
    )  # fmt: skip


def _rate(value: float) -> Entry:
    return Entry("") if math.isnan(value) else Entry(p_value(value))


def _sheet(section: str, found: Sequence[Line], caption: str) -> Sheet:
    ranks = {"id": 0, "claim": 2, "by": 3, "regime": 1, "measured": 3}
    head = [Column(name, words=True, rank=rank) for name, rank in ranks.items()]
    head += [Column("effect", rank=1), Column("n", rank=2), Column("verdict", words=True, rank=0)]
    head += [Column("FDR", rank=2), Column("detectable"), Column("n for d")]
    head += [Column("in words", words=True, rank=4), Column("literature", words=True, rank=5)]
    notes: list[str] = []
    rows: list[list[Entry]] = []
    last = ("", "")
    for line in found:
        new, last = (line.id, line.source) != last, (line.id, line.source)
        for note in line.notes:
            if note not in notes:
                notes.append(note)
        marks = tuple(notes.index(note) + 1 for note in line.notes)
        rows.append(
            [
                Entry(line.id if new else ""), Entry(line.claim if new else ""), Entry(line.source if new else ""),
                Entry(line.regime), Entry(line.quantity), line.effect, Entry(str(line.n) if line.n else NONE),
                Entry(line.verdict, bold=True, marks=marks), line.discovery, line.detectable, line.needed,
                Entry(line.words), Entry(line.literature if new else ""),
            ]
        )  # fmt: skip
    label = label_of("claims", *([section] if section else []))
    return Sheet(section or "Claims", label, head, rows, caption, notes)

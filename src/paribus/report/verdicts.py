"""Verdicts on claims over the regimes of an ablation: what the table, `paribus claims` and the page share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paribus.ablation.findings import Finding, findings
from paribus.report.numbers import NONE, p_value, scale, short, title
from paribus.report.tables.columns import with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of
from paribus.stats.verdict import ClaimVerdict, over_regimes

if TYPE_CHECKING:
    from paribus.ablation.cells import Plan, Read


@dataclass(frozen=True)
class Claim:
    """A hypothesis of an ablation file. findings: one for each regime, in the file's order.

    overall: the outcome of all regimes, CONDITIONAL where two that are settled differ.
    """

    ablation: str
    id: str
    claim: str
    findings: tuple[Finding, ...]
    overall: ClaimVerdict


def claims(plans: Sequence[Plan], read: Read, level: float = 0.95) -> list[Claim]:
    """The claims of these plans, those of one ablation's regimes together, in their order.

    read: the record of a run by its id, None where there is none.
    """
    found: dict[tuple[str, str], list[Finding]] = {}
    for plan in plans:
        for each in findings(plan, read, level):
            assert plan.ablation is not None
            found.setdefault((plan.ablation.name, each.hypothesis.id), []).append(each)
    return [
        Claim(
            ablation,
            id,
            group[0].hypothesis.claim,
            tuple(group),
            over_regimes({each.regime or ablation: each.verdict.outcome for each in group}),
        )
        for (ablation, id), group in found.items()
    ]


def verdict_sheet(found: Sequence[Claim], level: float = 0.95) -> Sheet:
    """A line for each claim and regime, and where there are several regimes one for all of them together.

    The ablation is named where the claims are of several.
    """
    several = len({claim.ablation for claim in found}) > 1
    regimes = any(each.regime is not None for claim in found for each in claim.findings)
    head = [Column("id", words=True), Column("claim", words=True)]
    head += [Column("ablation", words=True)] if several else []
    head += [Column("regime", words=True)] if regimes else []
    head += [Column("compared", words=True), Column("difference"), Column("d"), Column("p (Holm)"), Column("n")]
    head += [Column("verdict", words=True)]
    notes: list[str] = []
    rows = []
    for claim in found:
        for k, each in enumerate(claim.findings):
            line = [Entry(claim.id if k == 0 else ""), Entry(claim.claim if k == 0 else "")]
            line += [Entry(claim.ablation)] if several else []
            line += [Entry(each.regime or "")] if regimes else []
            marks = []
            for note in finding_notes(each):
                if note not in notes:
                    notes.append(note)
                marks.append(notes.index(note) + 1)
            rows.append([*line, *_numbers(each), Entry(each.verdict.outcome, bold=True, marks=tuple(marks))])
        if len(claim.findings) > 1:
            line = [Entry(""), Entry(""), *([Entry("")] if several else []), Entry("all")]
            rows.append([*line, *[Entry("")] * 5, Entry(claim.overall.outcome, bold=True)])
    names = list(dict.fromkeys(claim.ablation for claim in found))
    title = "Verdicts" if several else f"Verdicts of {names[0]}" if names else "Verdicts"
    sequential = any(each.cap is not None for claim in found for each in claim.findings)
    label = label_of("verdicts", *([] if several else names))
    return Sheet(title, label, head, rows, rule(level, regimes, sequential), notes)


def rule(level: float, regimes: bool, sequential: bool) -> str:
    """What the words mean, for a reader who sees only the table."""
    parts = [
        "Verdicts on the hypotheses of the ablation file. Difference: first arm minus second arm, paired by seed, with "
        f"its {100 * level:g} % t interval; diverged runs are scored at chance. d: smallest effect of interest. p: "
        "paired t test, adjusted by Holm over all arms of the table. SUPPORTED: significant in the claimed direction, "
        "and the upper bound is at least d. REVERSED: the whole interval lies on the other side of zero. REFUTED: the "
        "upper bound is below d. INCONCLUSIVE: more seeds are needed."
    ]
    parts += ["CONDITIONAL: the verdicts of the regimes disagree."] if regimes else []
    if sequential:
        parts.append("Seeds were added while a verdict was open; p and intervals are corrected for the repeated tests.")
    return " ".join(parts)


def compared(finding: Finding) -> str:
    """group − batch; the levels alone where several pairs of arms are compared."""
    if len(finding.pairs) == 1:
        return f"{finding.pairs[0][0]} − {finding.pairs[0][1]}"

    def said(levels: dict[str, str]) -> str:
        return ", ".join(levels.values()) if len(levels) == 1 else ", ".join(f"{k}={v}" for k, v in levels.items())

    hypothesis = finding.hypothesis
    ends = f"{said(dict(hypothesis.arm))} − {said(dict(hypothesis.versus))}"
    return f"{ends} (mean of {len(finding.pairs)} pairs of arms)" if finding.pairs else ends


def finding_notes(finding: Finding) -> list[str]:
    """What makes a verdict provisional or weaker than its numbers look."""
    if not finding.pairs:
        return ["The ablation has no such arms: they are excluded, or wait for their tuning."]
    notes = []
    if finding.missing:
        notes.append(f"Provisional: {finding.missing} of its runs failed, or are not finished yet.")
    if finding.diverged:
        notes.append(f"{finding.diverged} of its runs diverged.")
    if finding.open and finding.cap is not None and finding.planned >= finding.cap:
        notes.append(f"The verdict is still open with {finding.cap} seeds, the cap.")
    return notes


def _numbers(finding: Finding) -> list[Entry]:
    metric, d = finding.hypothesis.metric, finding.difference
    factor = scale(metric)
    difference = with_interval(d.mean, d.low, d.high, metric)
    shown = f"{title(metric)}: {compared(finding)}, claimed {finding.hypothesis.direction}"
    return [
        Entry(shown),
        difference if d.n else Entry(NONE),
        Entry(short(finding.verdict.smallest * factor)),
        Entry(p_value(finding.verdict.p_holm)),
        Entry(str(d.n)),
    ]

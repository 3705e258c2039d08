"""Verdicts on claims over the regimes that an ablation was run in: what the table, `paribus claims` and the page share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paribus.plan.cells import Plan, Read
from paribus.plan.findings import Finding, findings
from paribus.stats.verdict import ClaimVerdict, over_regimes


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

"""The ten findings that surprise most, chosen by a rule from the verdicts, in words that people wrote.

What people wrote belongs to the verdicts that it was written for: where records say otherwise, the claim stands in its
place until somebody writes it anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from paribus.ablation.findings import Finding
from paribus.notes.pages.claim import ends_of
from paribus.notes.pages.results import FOLDER, MADE, Results, claim_path, link, sentence, whole
from paribus.report.escape import markdown
from paribus.report.numbers import difference_unit, short
from paribus.report.tables.columns import with_interval
from paribus.report.verdicts import Claim

MOST = 10
PAGE, INDEX = FOLDER / "findings.md", PurePosixPath("RESULTS.md")
HOLDS, FAILS = ("SUPPORTED", "POSITIVE"), ("REVERSED", "REFUTED")
RULE = """## The rule
A script chooses and orders them, from the verdicts alone:

1. First come claims of which the opposite is true in all regimes, then those that hold in one regime and whose opposite
   is true in another, then those that hold in one regime and make no difference in another.
2. Among these the strongest comes first, by the bound that decided, in multiples of the smallest effect of interest. A
   claim that holds here and fails there is as strong as the weaker of the two. Checks, which have no such effect, come
   last.
3. Each ablation is there once.

People wrote the words, and left out what repeats another finding or surprises nobody, each with a reason:
"""


def findings_page(results: Results, written: Mapping[str, Any]) -> str:
    """written: `said`: id -> verdicts (regime -> outcome) and words; `left_out`: id -> why."""
    rows = ["| finding | where, effect and interval | verdict |", "|---|---|---|"]
    for id in chosen(results, written["left_out"]):
        first = results.lines[id][0]
        rows.append(
            f"| {link(sentence(words(results, id, written['said']))[:-1], claim_path(id), PAGE)} "
            f"| {_effects(results, id)} | **{first.verdict}** |"
        )
    out = [f"- {link(id, claim_path(id), PAGE)}: {why}" for id, why in written["left_out"].items()]
    return "\n".join(
        [
            f"{MADE}\n# Ten findings\n",
            f"What surprised us most, of {link('all claims', INDEX, PAGE)}. All of it comes from small networks and "
            "short trainings on small pictures and texts; the page of each finding says where it was tried.\n",
            *rows,
            "",
            "Differences are those of test accuracy, in percentage points, unless a unit stands behind them. Bounds "
            "hold together for all comparisons of a regime. In F all arms have one rate, in T each its best, in S also "
            "equally many updates.\n",
            RULE,
            *out,
            "",
        ]
    )


def chosen(results: Results, left_out: Mapping[str, str]) -> list[str]:
    """The ids, the most surprising first."""
    ranked: list[tuple[int, float, str]] = []
    for id in results.lines:
        if id not in left_out and (rank := _surprise(results, id)) is not None:
            ranked.append((*rank, id))
    ranked.sort(key=lambda each: (each[0], -each[1], each[2]))
    once: dict[str, str] = {}
    for _, _, id in ranked:
        claim = results.claims.get(id)
        once.setdefault(claim.ablation if claim else id, id)
    return [*once.values()][:MOST]


def words(results: Results, id: str, said: Mapping[str, Any]) -> str:
    """What people wrote, where it is about these verdicts; else the claim."""
    own = said.get(id)
    return own["words"] if own and own["verdicts"] == outcomes(results, id) else results.lines[id][0].claim


def stale(results: Results, said: Mapping[str, Any]) -> list[str]:
    """The claims whose verdicts are not those that people wrote about."""
    return [id for id, own in said.items() if id in results.lines and own["verdicts"] != outcomes(results, id)]


def outcomes(results: Results, id: str) -> dict[str, str]:
    """The verdict of each regime; of a claim with one regime, under its ablation's name."""
    if claim := results.claims.get(id):
        return {each.regime or claim.ablation: each.verdict.outcome for each in claim.findings}
    _, stored = results.checks[id]
    return {each.regime or each.quantity: str(each.outcome) for each in stored.measurements} if stored else {}


def _surprise(results: Results, id: str) -> tuple[int, float] | None:
    """(group, strength): 0 all fails, 1 it depends, 2 it depends and fails nowhere; None for what is no surprise."""
    found = [*outcomes(results, id).values()]
    claim = results.claims.get(id)
    verdict = results.lines[id][0].verdict
    if found and all(each in FAILS for each in found):
        return 0, (_strength(claim, FAILS) if claim else 0.0)
    if verdict != "CONDITIONAL":
        return None
    if not any(each in FAILS for each in found):
        return 2, (_strength(claim, HOLDS) if claim else 0.0)
    return 1, (min(_strength(claim, HOLDS), _strength(claim, FAILS)) if claim else 0.0)


def _strength(claim: Claim, kinds: tuple[str, ...]) -> float:
    """The largest bound, on its side of zero, in multiples of the smallest effect of interest."""

    def bound(each: Finding) -> float:
        v = each.verdict
        return (v.low if kinds is HOLDS else -v.high) / v.smallest

    return max((bound(each) for each in claim.findings if each.verdict.outcome in kinds), default=0.0)


def _usual(results: Results) -> str:
    """The metric of most claims, test accuracy. The page says so once, and other metrics name their units."""
    metrics = [each.hypothesis.metric for claim in results.claims.values() for each in claim.findings]
    return Counter(metrics).most_common(1)[0][0]


def _effects(results: Results, id: str) -> str:
    """The regimes that decide, each with its effect and interval."""
    if claim := results.claims.get(id):
        settled = [each for each in claim.findings if not each.open] or claim.findings
        found = []
        for each in settled:
            d, metric = each.difference, each.hypothesis.metric
            shown = with_interval(d.mean, d.low, d.high, metric)
            unit = "" if metric == _usual(results) else f" {difference_unit(metric).strip() or metric}"
            where = f"{each.regime}: " if each.regime else ""
            found.append(whole(markdown(f"{where}{shown.text} {shown.rest}{unit}")))
        return "<br>".join([markdown(ends_of(claim)), *found])
    _, stored = results.checks[id]
    said = []
    for own in stored.measurements if stored else ():
        interval = f" ({short(own.low)} to {short(own.high)})" if own.high - own.low > 0 else ""
        said.append(f"{markdown(own.regime or own.quantity)}: {whole(short(own.measured) + interval)}")
    return "<br>".join(said)

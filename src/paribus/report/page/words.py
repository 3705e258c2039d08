"""Verdicts in plain words."""

from __future__ import annotations

import math

from paribus.ablation.file import Ablation, overrides_of
from paribus.ablation.findings import Finding
from paribus.base.metrics import Key
from paribus.report.numbers import amount, name, p_value, unit_behind
from paribus.report.tables.columns import with_interval
from paribus.report.verdicts import Claim, overall_because
from paribus.stats.regimes import DEPENDS
from paribus.stats.verdict import MEANING as OUTCOMES

MEANING = {
    "SUPPORTED": "the runs support the claim",
    "NEGLIGIBLE": "the effect is too small to matter",
    "REVERSED": "the opposite is true",
    "POSITIVE": "the gain is real and may be too small to matter",
    "INCONCLUSIVE": "these runs can't decide",
    "CONDITIONAL": "it depends on the regime",
}
SIGNS = {
    "SUPPORTED": "✓", "NEGLIGIBLE": "≈", "REVERSED": "⇄", "POSITIVE": "+", "INCONCLUSIVE": "?", "CONDITIONAL": "◐",
}  # fmt: skip
SHORT = 12  # letters
RULE = " ".join(f"{word}: {meaning}." for word, meaning in [*OUTCOMES.items(), ("CONDITIONAL", DEPENDS)])


def headline(text: str) -> str:
    """A title whose last line has two words at least, unless the last one is long enough for a line."""
    before, space, last = text.rpartition(" ")
    return f"{before}\u00a0{last}" if space and len(last) <= SHORT else text


def compared(finding: Finding) -> str:
    """What minus what, in which metric."""
    if not finding.pairs:
        return "the ablation has no arms with the settings that the hypothesis names"
    arm, versus = finding.pairs[0]
    more = f" and {len(finding.pairs) - 1} more pairs" if len(finding.pairs) > 1 else ""
    return f"{name(finding.hypothesis.metric)} of {arm} minus {versus}{more}"


def numbers(finding: Finding) -> str:
    """+0.4 points (95 % interval -1.1 to +1.8), p = 0.210 (Holm for 3 comparisons), n = 5 of 5 seeds."""
    d, metric = finding.difference, finding.hypothesis.metric
    counted = f"n = {d.n} of {finding.planned} seeds"
    if not math.isfinite(d.mean):
        return f"no result yet, {counted}"
    said = [difference_text(metric, d.mean, d.low, d.high)]
    if not math.isnan(finding.verdict.p):
        said.append(f"p {p_text(finding.verdict.p)} (Holm for {finding.comparisons} comparisons)")
    said.append(counted)
    if finding.diverged:
        said.append(f"{finding.diverged} diverged, scored at chance")
    return ", ".join(said)


def difference_text(metric: Key, mean: float, low: float, high: float) -> str:
    """+0.4 points (-1.1 to +1.8), rounded to what the interval leaves."""
    entry = with_interval(mean, low, high, metric)
    return f"{entry.text}{unit_behind(metric)} {entry.rest}".rstrip()


def p_text(p: float) -> str:
    """= 0.021, < 0.001, or nothing."""
    shown = p_value(p)
    return "" if math.isnan(p) else shown if shown.startswith("<") else f"= {shown}"


def smallest(finding: Finding) -> str:
    return amount(finding.hypothesis.metric, finding.verdict.smallest)


def overall(claim: Claim) -> str:
    """What the claim's outcome means, and what its regimes say."""
    meaning = MEANING[claim.overall.outcome]
    said = overall_because(claim)
    if said.startswith("depends on"):
        return f"it {said}"
    return meaning if len(claim.findings) < 2 else f"{meaning}: {said}"


def regime(ablation: Ablation | None) -> str:
    """What a regime is: the file's own words, or whether its arms are tuned and what it sets."""
    if ablation is None or ablation.regime is None:
        return ""
    if ablation.about:
        return ablation.about
    tuned = "every arm at its own best point" if ablation.tune else "no arm is tuned"
    return ", ".join([tuned, *overrides_of(ablation.sets)])

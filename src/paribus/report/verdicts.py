"""Verdicts on claims over the regimes of an ablation: what the table, `paribus claims` and the page share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from paribus.ablation.findings import Finding, findings
from paribus.base.typed import typed
from paribus.evidence.comparable import fact, held_equal
from paribus.report.numbers import NONE, decimals, difference_unit, p_value, scale, short, text, title
from paribus.report.tables.caption import clean_runs
from paribus.report.tables.columns import with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of
from paribus.stats.collapse import fisher
from paribus.stats.effect import minimum_detectable_effect, required_pairs
from paribus.stats.multiple import false_discovery
from paribus.stats.regimes import DEPENDS, ClaimVerdict, InRegime, over_regimes
from paribus.stats.verdict import MEANING
from paribus.store.company import DURATIONS

if TYPE_CHECKING:
    from paribus.ablation.cells import Plan, Read

POWER = 0.8
SPREAD = 3.0  # so many times the deviation at the chosen values is worth a note
_FACTS = ("budget", "data", "precision", "world_size", "evaluated")


@dataclass(frozen=True)
class Claim:
    """A hypothesis of an ablation file. findings: one for each regime, in the file's order.

    overall: the verdict on all regimes together. held: for each finding, what tells the choices and facts that all of
    its runs share; it reads all of them, and few readers ask. discovery: of each finding that is settled, the smallest
    false discovery rate over the board at which it stands; nan without a board.
    """

    ablation: str
    id: str
    claim: str
    findings: tuple[Finding, ...]
    overall: ClaimVerdict
    held: tuple[Callable[[], Mapping[str, str]], ...] = ()
    discovery: tuple[float, ...] = ()

    @property
    def differing(self) -> tuple[str, ...]:
        """In what the regimes differ."""
        held = [each() for each in self.held]
        keys = dict.fromkeys(key for each in held for key in each)
        return tuple(key for key in keys if len({each[key] for each in held if key in each}) > 1)

    def content(self) -> dict[str, Any]:
        """What a program reads: plain values, numbers as recorded."""
        return {
            "ablation": self.ablation,
            "id": self.id,
            "claim": self.claim,
            "outcome": self.overall.outcome,
            "because": overall_because(self),
            "false_discovery_rate": self.overall_discovery,
            "regimes": [
                {**_content(each), "false_discovery_rate": rate}
                for each, rate in zip(self.findings, self.discovery, strict=True)
            ],
        }

    @property
    def overall_discovery(self) -> float:
        """Of the common verdict: the largest of the regimes that it follows from."""
        settled = [q for each, q in zip(self.findings, self.discovery, strict=True) if not each.open]
        return max(settled, default=math.nan) if self.overall.outcome != "INCONCLUSIVE" else math.nan


def claims(
    plans: Sequence[Plan], read: Read, level: float = 0.95, known: Sequence[Sequence[Finding]] | None = None
) -> list[Claim]:
    """The claims of these plans, those of one ablation's regimes together, in their order.

    read: the record of a run by its id, None where there is none. known: the findings of each plan, where somebody has
    made them at this level.
    """
    found: dict[tuple[str, str], list[tuple[Finding, Callable[[], Mapping[str, str]]]]] = {}
    if known is None:
        known = [findings(plan, read, level) for plan in plans]
    for plan, own in zip(plans, known, strict=True):
        if not own:
            continue
        assert plan.ablation is not None, "only an ablation has findings"
        held = functools.cache(functools.partial(_held, plan, read))
        for each in own:
            found.setdefault((plan.ablation.name, each.hypothesis.id), []).append((each, held))
    made = []
    for (ablation, id), group in found.items():
        every = tuple(each for each, _ in group)
        overall = over_regimes({each.regime or ablation: _in_regime(each) for each in every})
        held_by = tuple(held for _, held in group)
        made.append(Claim(ablation, id, every[0].hypothesis.claim, every, overall, held_by, (math.nan,) * len(every)))
    return made


def everywhere(found: Sequence[Claim]) -> dict[str, Claim]:
    """Each claim that other ablations ask elsewhere (`of` in their hypotheses), over all regimes of all of them, by its
    id. Gains are compared in units of the smallest effect of interest, since their metrics may differ."""
    made = {}
    for root in found:
        others = [claim for claim in found if claim.findings[0].hypothesis.of == root.id]
        if not others:
            continue
        family = [root, *others]
        where = {
            claim.id + (f" [{each.regime}]" if each.regime else ""): each for claim in family for each in claim.findings
        }
        made[root.id] = replace(
            root,
            ablation=", ".join(dict.fromkeys(claim.ablation for claim in family)),
            findings=tuple(where.values()),
            overall=over_regimes({name: _in_regime(each) for name, each in where.items()}, apart=True),
            held=tuple(held for claim in family for held in claim.held),
            discovery=tuple(rate for claim in family for rate in claim.discovery),
        )
    return made


def _content(finding: Finding) -> dict[str, Any]:
    hypothesis, d, verdict = finding.hypothesis, finding.difference, finding.verdict
    return {
        "regime": finding.regime,
        "metric": str(hypothesis.metric),
        "pairs": [list(pair) for pair in finding.pairs],
        "direction": hypothesis.direction,
        "difference": d.mean,
        "low": d.low,
        "high": d.high,
        "n": d.n,
        "planned": finding.planned,
        "outcome": verdict.outcome,
        "because": because(finding),
        "p": verdict.p,
        "smallest_effect": verdict.smallest,
        "diverged": finding.diverged,
        "missing": finding.missing,
        "notes": finding_notes(finding),
    }


def board(found: Sequence[Claim]) -> list[Claim]:
    """The claims with the false discovery rates of all their verdicts together."""
    q = iter(false_discovery([each.verdict.p_alone for claim in found for each in claim.findings]))
    rated = [[(each, next(q)) for each in claim.findings] for claim in found]
    return [
        replace(claim, discovery=tuple(math.nan if each.open else rate for each, rate in rates))
        for claim, rates in zip(found, rated, strict=True)
    ]


def _in_regime(finding: Finding) -> InRegime:
    first = finding.first if finding.hypothesis.direction == "greater" else finding.first.turned
    return InRegime(finding.verdict, first, any(each.count for each in finding.collapses.values()))


def _held(plan: Plan, read: Read) -> Mapping[str, str]:
    """The choices and facts that the runs of one regime share; and whether it is tuned."""
    runs = [run for cells in plan.arms.values() for cell in cells if cell and (run := read(cell.id)) is not None]
    facts = {key: {str(fact(run, key)) for run in runs} for key in _FACTS}
    one = {key: values.pop() for key, values in facts.items() if len(values) == 1}
    return {**held_equal(runs), **one, "tuning": str(bool(plan.tuned))}


def verdict_sheet(found: Sequence[Claim], level: float = 0.95) -> Sheet:
    """A line for each claim and regime, and where there are several regimes one for all of them together.

    The ablation is named where the claims are of several.
    """
    several = len({claim.ablation for claim in found}) > 1
    regimes = any(each.regime is not None for claim in found for each in claim.findings)
    head = [Column("id", words=True, rank=0), Column("claim", words=True, noted=True)]
    head += [Column("ablation", words=True, rank=1)] if several else []
    head += [Column("regime", words=True, rank=1)] if regimes else []
    head += [Column("compared", words=True, rank=2), Column("difference", rank=1)]
    head += [Column("d"), Column("p", rank=2), Column("n", rank=2)]
    head += [Column("verdict", words=True, rank=0), Column("because", words=True)]
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
            said = Entry(each.verdict.word, bold=True, marks=tuple(marks))
            rows.append([*line, *_numbers(each), said, Entry(because(each))])
        if len(claim.findings) > 1:
            line = [Entry(""), Entry(""), *([Entry("")] if several else []), Entry("all")]
            said = Entry(claim.overall.outcome, bold=True)
            rows.append([*line, *[Entry("")] * 5, said, Entry(overall_because(claim))])
    names = list(dict.fromkeys(claim.ablation for claim in found))
    title = "Verdicts" if several else f"Verdicts of {names[0]}" if names else "Verdicts"
    label = label_of("verdicts", *([] if several else names))
    short = "Verdicts on the hypotheses. Difference: first arm minus second arm, with the bounds that decided."
    return Sheet(title, label, head, rows, rule(found, level), notes, short=short)


def rule(found: Sequence[Claim], level: float = 0.95) -> str:
    """What the columns and the words mean, for a reader who sees only the table."""
    of_regime = "of a regime " if any(len(claim.findings) > 1 for claim in found) else ""
    parts = [
        "Verdicts on the hypotheses of the ablation file. Difference: first arm minus second arm, paired by seed, with "
        "the bounds that decided; diverged runs are scored at chance. Bounds are adjusted by Holm over both ends of "
        f"all comparisons, so that with {100 * level:g} % probability no verdict {of_regime}is wrong. "
        "Gain: the difference in the claimed direction. d: smallest effect of interest. p: adjusted in the same way, "
        "that the gain is below d (SUPPORTED), at least d in size (NEGLIGIBLE), or else zero."
    ]
    parts.append(meanings(claim.findings for claim in found))
    if any(claim.overall.outcome == "CONDITIONAL" for claim in found):
        parts.append(f"CONDITIONAL: {DEPENDS}.")
    if any(len(claim.findings) > 1 for claim in found):
        parts.append("All: what the intervals of all regimes say together.")
    if any(each.cap is not None for claim in found for each in claim.findings):
        parts.append("Seeds were added while a verdict was open; p and bounds are corrected for the repeated tests.")
    known = [each for claim in found for finding in claim.findings for each in finding.collapses.values()]
    parts += clean_runs([each.n for each in known if not each.count and each.n], level)
    return " ".join(part for part in parts if part)


def meanings(found: Iterable[Iterable[Finding]]) -> str:
    """A sentence for each word among these verdicts."""
    words = {each.verdict.outcome for findings in found for each in findings}
    return " ".join(f"{word}: {meaning}." for word, meaning in MEANING.items() if word in words)


def because(finding: Finding) -> str:
    """The bound that decided, in the unit of the metric and in the claimed direction."""
    v, metric = finding.verdict, finding.hypothesis.metric
    if not finding.difference.n:
        return "no result yet"
    if not math.isfinite(v.high - v.low):
        return "no bounds: too few pairs, or runs that diverged without a known chance level"
    unit = difference_unit(metric)
    low, high = (text(scale(metric) * value, places(finding), sign=True) for value in (v.low, v.high))
    if v.outcome == "SUPPORTED":
        return f"the gain is at least {low}{unit}"
    if v.outcome == "NEGLIGIBLE":
        return f"the gain is between {low} and {high}{unit}"
    if v.outcome == "REVERSED":
        return f"the gain is at most {high}{unit}"
    if v.outcome == "POSITIVE":
        return f"the gain is at least {low}{unit}"
    return f"the gain is between {low} and {high}{unit}; detectable: {detectable_text(finding)}{unit}"


def places(finding: Finding) -> int:
    """Digits behind the point, in the unit that is shown: two of half the interval's width."""
    return min(5, decimals(scale(finding.hypothesis.metric) * (finding.verdict.high - finding.verdict.low) / 2))


def overall_because(claim: Claim) -> str:
    """Why the common verdict is what it is."""
    groups = "; ".join(f"{kind} in {', '.join(names)}" for kind, names in claim.overall.regimes.items())
    p, outcome = claim.overall.p, claim.overall.outcome
    if outcome == "CONDITIONAL":
        on = f"depends on {_listed(claim.differing)}: " if claim.differing else ""
        without = f", without {_listed(claim.overall.untested)}, where runs collapsed" if claim.overall.untested else ""
        return f"{on}{groups} (heterogeneity p {_p(p)}{without})"
    settled = [kind for kind in claim.overall.regimes if kind != "INCONCLUSIVE"]
    if outcome == "INCONCLUSIVE" and len(settled) > 1:
        if claim.overall.untested:
            where = _listed(claim.overall.untested)
            return f"{groups}; whether regimes differ is not tested, since runs collapsed in {where}"
        return f"{groups}; the effects do not differ beyond chance (p {_p(p)})" if p == p else groups
    return groups


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _p(p: float) -> str:
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"


def detectable(finding: Finding) -> float:
    """The true gain that n pairs show to be positive with a power of 80 %, at the level of the bounds; nan for none.

    Where several points of a grid were kept, in the comparison that spreads most: the bounds hold for all of them.
    """
    d, alpha = finding.difference, finding.verdict.alpha
    if d.n < 2 or not math.isfinite(d.widest) or math.isnan(alpha):
        return math.nan
    return minimum_detectable_effect(d.widest, d.n, POWER, 2 * alpha)


def detectable_text(finding: Finding) -> str:
    value = detectable(finding)
    return text(value * scale(finding.hypothesis.metric), places(finding)) if math.isfinite(value) else NONE


def needed(finding: Finding) -> str:
    """How many seeds show a gain of d to be positive with a power of 80 %, at the level of the bounds."""
    d, alpha = finding.difference, finding.verdict.alpha
    if d.n < 2 or not math.isfinite(d.widest) or math.isnan(alpha):
        return ""
    try:
        return str(required_pairs(finding.verdict.smallest, d.widest, POWER, 2 * alpha))
    except ValueError:  # more than anybody could train
        return NONE


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
    if finding.hypothesis.metric in DURATIONS and not finding.difference.n and finding.planned > finding.missing:
        notes.append("Times are compared only if each run was measured alone, and all on one machine.")
    if finding.missing:
        notes.append(f"Provisional: {finding.missing} of its runs failed, are invalid, or are not finished yet.")
    if finding.lacking:
        notes.append(
            f"The luck of tuning is in no bound: {sum(finding.lacking.values())} reporting runs are missing at points "
            f"that tuning can't tell from the best ({', '.join(finding.lacking)}). To train them: paribus train -m "
            f"{typed('ablation', finding.ablation)}."
        )
    d, factor, unit = finding.difference, scale(finding.hypothesis.metric), difference_unit(finding.hypothesis.metric)
    if finding.open and d.below and SPREAD * d.sd < d.widest < math.inf:
        notes.append(
            f"The bounds hold at every value that tuning can't tell from the best. At one of them differences have a "
            f"standard deviation of {factor * d.widest:.2g}{unit}, and of {factor * d.sd:.2g}{unit} at the chosen ones."
        )
    if finding.diverged:
        notes.append(f"{finding.diverged} of its runs diverged.")
    if any(each.count for each in finding.collapses.values()):
        notes.append(_collapses(finding))
    if finding.open and finding.cap is not None and finding.planned >= finding.cap:
        notes.append(f"The verdict is still open with {finding.cap} seeds, the cap.")
    return notes


def _collapses(finding: Finding) -> str:
    """How often each side collapsed, tuning runs at the reported point included, with its test."""
    sides = []
    for side in (0, 1):
        own = [finding.collapses[label] for label in dict.fromkeys(pair[side] for pair in finding.pairs)]
        sides.append((sum(each.count for each in own), sum(each.n for each in own)))
    (count, n), (other, of) = sides
    p = fisher(count, n, other, of)
    more = " The bounds count one more collapse of that depth." if finding.difference.falls else ""
    return (
        f"Runs that collapsed (diverged, or nearer to chance than to the median of their arm): {count} of {n} against "
        f"{other} of {of} (Fisher's exact test, p {_p(p)}).{more}"
    )


def _numbers(finding: Finding) -> list[Entry]:
    metric, d = finding.hypothesis.metric, finding.difference
    factor = scale(metric)
    difference = with_interval(d.mean, d.low, d.high, metric)
    shown = f"{title(metric)}: {compared(finding)}, claimed {finding.hypothesis.direction}"
    return [
        Entry(shown),
        difference if d.n else Entry(NONE),
        Entry(short(finding.verdict.smallest * factor)),
        Entry(p_value(finding.verdict.p)),
        Entry(str(d.n)),
    ]

"""The page of a claim: question, verdict, a picture, the numbers, where it fails, literature, and how to repeat it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from paribus.ablation.findings import Finding
from paribus.evidence.measurement import MEANING as OF_CHECKS
from paribus.evidence.measurement import Measurement
from paribus.notes import ablations as notes
from paribus.notes import scoreboard
from paribus.notes.pages import picture
from paribus.notes.pages.literature import papers, with_links
from paribus.notes.pages.results import (
    FOLDER,
    MADE,
    RECORDS,
    Results,
    ablation_path,
    claim_path,
    link,
    section_key,
    section_path,
    sentence,
    table_path,
    times,
)
from paribus.report.escape import markdown
from paribus.report.numbers import NONE, amount, difference_unit, name, scale, short, title
from paribus.report.scoreboard import EVERYWHERE, NOT_RUN, Line
from paribus.report.tables import render
from paribus.report.tables.columns import with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet
from paribus.report.verdicts import Claim, because, compared, finding_notes, needed, overall_because
from paribus.stats.regimes import DEPENDS
from paribus.stats.verdict import MEANING

HOLDS = ("SUPPORTED", "POSITIVE")
WORDS = {
    "SUPPORTED": "the claim holds",
    "POSITIVE": "the claim holds, and the gain may be too small to matter",
    "NEGLIGIBLE": "it makes no difference that matters",
    "REVERSED": "the opposite of the claim is true",
    "REFUTED": "the claim does not hold",
    "CONDITIONAL": "the claim holds in some regimes and not in others",
    "INCONCLUSIVE": "the runs do not decide it",
    NOT_RUN: "nothing has been measured yet",
}


def claim_page(results: Results, id: str) -> str:
    lines, here = results.lines[id], claim_path(id)
    first, claim = lines[0], results.claims.get(id)
    drawn = claim_picture(results, id)
    section = scoreboard.SECTIONS.get(section_key(id), scoreboard.METHOD)
    above = [link("Results", here.parents[3] / "RESULTS.md", here)]
    above += [link(section, section_path(section_key(id)), here)]
    above += [link(f"ablation {claim.ablation}", ablation_path(claim.ablation), here)] if claim else []
    parts = [
        f"{MADE}\n# {id}: {first.claim}\n",
        f"{' · '.join(above)}\n",
        f"{question(results, id)}\n",
        "## Verdict\n",
        f"**{first.verdict}**: {WORDS[first.verdict]}. {sentence(_because(results, id))}\n",
        *([f"![{_about(first)}]({here.stem}.svg)\n"] if drawn else []),
        render.markdown(_of_claim(results, claim) if claim else _of_check(results, id)),
        f"{link('What verdicts mean', FOLDER.parent / 'verdicts.md', here)}.\n",
        *(f"{each}\n" for each in _elsewhere(results, id)),
        "## Where it fails\n",
        *(f"- {each}" for each in _fails(results, id)),
        "",
        *([f"## Remarks\n\n{results.remarks[id]}\n"] if id in results.remarks else []),
        "## Literature\n",
        f"{_literature(first, claim)}\n",
        "## Again\n",
        *_again(results, id),
    ]
    return "\n".join(parts)


def question(results: Results, id: str) -> str:
    """What is asked, and by which comparison."""
    claim, first = results.claims.get(id), results.lines[id][0]
    asked = f"Is it true that {first.claim}?"
    if claim is None:
        return f"{asked} A check measures it directly."
    hypothesis = claim.findings[0].hypothesis
    ends = [", ".join(f"`{key}={value}`" for key, value in of.items()) for of in (hypothesis.arm, hypothesis.versus)]
    more = "higher" if hypothesis.direction == "greater" else "lower"
    return (
        f"{asked} Compared are runs with {ends[0]} and with {ends[1]}, everything else being equal. Claimed: "
        f"{name(hypothesis.metric)} is {more}."
    )


def _elsewhere(results: Results, id: str) -> list[str]:
    """Where else a claim is asked, and what all of its ablations say together."""
    here, claim, last = claim_path(id), results.claims.get(id), results.lines[id][-1]
    if claim is None:
        return []
    root = claim.findings[0].hypothesis.of
    if root in results.lines:
        return [f"It asks elsewhere what {link(root, claim_path(root), here)} asks."]
    if last.regime != EVERYWHERE:
        return []
    others = [name for name, each in results.claims.items() if each.findings[0].hypothesis.of == id]
    named = ", ".join(link(name, claim_path(name), here) for name in others)
    return [f"It is asked elsewhere too: {named}. All of them together: **{last.verdict}**. {sentence(last.words)}"]


def claim_picture(results: Results, id: str) -> str:
    """SVG; empty where nothing has been measured."""
    about = _about(results.lines[id][0])
    if claim := results.claims.get(id):
        rows = [_row(claim, each) for each in claim.findings if each.difference.n]
        hypothesis = claim.findings[0].hypothesis
        unit = difference_unit(hypothesis.metric).strip()
        label = f"{name(hypothesis.metric)}: {ends_of(claim)}" + (f" ({unit})" if unit else "")
        smallest = claim.findings[0].verdict.smallest * scale(hypothesis.metric)
        return picture.differences(rows, label, smallest, hypothesis.direction, about)
    _, stored = results.checks[id]
    made = stored.measurements if stored else ()
    alike = len({each.quantity for each in made}) == 1
    return picture.measurements([_bullet(each) for each in made], about, alike)


def _literature(line: Line, claim: Claim | None) -> str:
    said = papers(claim.ablation) if claim else ""
    found = [with_links(sentence(each)) for each in (line.literature, said and f"papers: {said}") if each]
    return "\n\n".join(found) or "None is named."


def _about(line: Line) -> str:
    return f"{line.id}: {line.claim}".replace("[", "(").replace("]", ")")


def _because(results: Results, id: str) -> str:
    """Of several regimes, the verdict in each; of one, what was seen."""
    lines, claim = results.lines[id], results.claims.get(id)
    if claim is not None and len(claim.findings) > 1:
        return overall_because(claim)
    return markdown(lines[0].words.partition(": ")[2] if claim else lines[0].words)


def _row(claim: Claim, each: Finding) -> picture.Row:
    d, factor = each.difference, scale(each.hypothesis.metric)
    shown = _entry(each)
    said = f"{shown.text} {shown.rest}"
    return picture.Row(
        each.regime or claim.ablation, d.mean * factor, d.low * factor, d.high * factor, each.verdict.outcome, said
    )


def _bullet(each: Measurement) -> picture.Row:
    allowed = None
    if math.isfinite(each.expected):
        tolerance = each.tolerance if math.isfinite(each.tolerance) else 0.0
        allowed = {
            "": (each.expected - tolerance, each.expected + tolerance),
            "at most": (-math.inf, each.expected),
            "at least": (each.expected, math.inf),
        }[each.bound]
    named = ": ".join(filter(None, [each.regime, each.quantity]))
    wanted = f" (expected {said})" if (said := scoreboard.wanted(each)) else ""
    number = short(each.measured)
    return picture.Row(named + wanted, each.measured, each.low, each.high, each.outcome, number, allowed)


def _entry(finding: Finding) -> Entry:
    """As the tables of ablations print it."""
    d = finding.difference
    return with_interval(d.mean, d.low, d.high, finding.hypothesis.metric) if d.n else Entry(NONE)


def ends_of(claim: Claim) -> str:
    """arm − versus; where each sets several keys, by the last names of those that differ."""
    sides = [dict(getattr(claim.findings[0].hypothesis, side)) for side in ("arm", "versus")]
    apart = [key for key in sides[0] if sides[0][key] != sides[1].get(key)]
    if len(sides[0]) == 1 or not apart:
        return compared(claim.findings[0])
    ends = [", ".join(f"{key.rpartition('.')[2]}={side[key]}" for key in apart if key in side) for side in sides]
    return " − ".join(ends)


def _of_claim(results: Results, claim: Claim) -> Sheet:
    rows, notes = [], []
    first = claim.findings[0]
    metric = first.hypothesis.metric
    for each in claim.findings:
        about = results.regime_words(claim.ablation, each.regime or "")
        where = ": ".join(dict.fromkeys(filter(None, (each.regime or claim.ablation, about))))
        own = finding_notes(each) if each.difference.n else []
        notes += [note for note in own if note not in notes]
        marks = tuple(notes.index(note) + 1 for note in own)
        shown = _entry(each)
        effect = Entry(shown.text, f"{shown.rest}, n = {each.difference.n}" if each.difference.n else "")
        verdict = each.verdict.word if each.difference.n else NOT_RUN
        rows.append([Entry(where), effect, Entry(verdict, bold=True, marks=marks)])
    head = f"{title(metric)}: {ends_of(claim)}"
    columns = [Column("regime", words=True), Column(head), Column("verdict", words=True)]
    d = amount(metric, first.verdict.smallest)
    found = {each.verdict.outcome for each in claim.findings}
    meaning = " ".join(f"{word}: {said}." for word, said in MEANING.items() if word in found)
    depends = f" CONDITIONAL: {DEPENDS}." if claim.overall.outcome == "CONDITIONAL" else ""
    said = (
        "Differences paired by seed, of n seeds, with bounds that hold together for all comparisons of a regime. d, "
        f"the smallest effect of interest, is {d}. {meaning}{depends}"
    )
    return Sheet("", "", columns, rows, said, notes)


def _of_check(results: Results, id: str) -> Sheet:
    _, stored = results.checks[id]
    rows = []
    for each in stored.measurements if stored else ():
        where = ": ".join(filter(None, (each.regime, each.quantity)))
        interval = [f"{short(each.low)} to {short(each.high)}"] if math.isfinite(each.high - each.low) else []
        expected = [f"expected {said}"] if (said := scoreboard.wanted(each)) else []
        n = [f"n = {each.n}"] if each.n > 1 else []
        rest = "; ".join(interval + expected + n)
        number = short(each.measured) if math.isfinite(each.measured) else NONE
        measured = Entry(number, f"({rest})" if rest else "")
        rows.append([Entry(where), measured, Entry(each.outcome, bold=True)])
    columns = [Column("measured", words=True), Column("number"), Column("verdict", words=True)]
    return Sheet("", "", columns, rows, OF_CHECKS)


def _fails(results: Results, id: str) -> Sequence[str]:
    """Each regime without the claimed gain, in words; then what was tried at all."""
    claim = results.claims.get(id)
    if claim is None:
        _, stored = results.checks[id]
        if stored is None:
            return ["Nothing is known yet."]
        lost = [each for each in stored.measurements if each.outcome not in HOLDS]
        found = [f"{each.regime or each.quantity} ({each.outcome}): {markdown(each.words.strip())}." for each in lost]
        n = len(stored.measurements)
        return found or [f"In none of the {n} measurements." if n > 1 else "Not in this measurement."]
    found = []
    for each in claim.findings:
        if each.verdict.outcome in HOLDS:
            continue
        more = ""
        if each.open and (seeds := needed(each)).isdigit():
            more = f" About {seeds} seeds would show a gain of d."
        found.append(f"{each.regime or claim.ablation} ({each.verdict.word}): {markdown(because(each))}.{more}")
    if not found:
        one = len(claim.findings) == 1
        found.append("Not in the regime that was tried." if one else f"In none of the {len(claim.findings)} regimes.")
    return [*found, _tried(results, claim.ablation)]


def _tried(results: Results, ablation: str) -> str:
    """The data and networks of the runs, beyond which nothing is known."""
    held = {
        key: sorted({str(run.choices[key]) for run in results.records(ablation) if key in run.choices})
        for key in ("data", "model")
    }
    data, models = (", ".join(f"`{key}={value}`" for value in of) for key, of in held.items())
    return f"Beyond {data} and {models} nothing is known: no run of it has other data or another network."


def _again(results: Results, id: str) -> list[str]:
    claim, here = results.claims.get(id), claim_path(id)
    board = link("all verdicts", FOLDER / "claims.csv", here)
    if claim is None:
        stored = results.checks[id][1]
        took = f"   # {stored.seconds:.0f} s" if stored else ""
        return [f"    paribus claims notes --run --only {id}{took}\n", f"As CSV: {board}.\n"]
    ablation = claim.ablation
    runs = results.records(ablation)
    return [
        f"    paribus train -m ablation={ablation}\n    paribus claims notes --only {id}\n",
        f"All of it: {times(ablation, runs, results.again)}. Without training: `paribus import {RECORDS}` brings our "
        f"runs.\n",
        f"<!-- report: {ablation} -->\n",
        f"As CSV: {link('every arm with its runs', table_path(ablation), here)}, {board}. The file: "
        f"{link(f'{ablation}.yaml', here.parents[3] / 'conf' / 'ablation' / f'{notes.whole(ablation)}.yaml', here)}.\n",
    ]

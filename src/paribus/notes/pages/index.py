"""RESULTS.md, one screen that leads to everything, and the page of each section of the notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paribus.ablation.cells import Plan
from paribus.base.durations import duration
from paribus.notes.pages import findings
from paribus.notes.pages.findings import INDEX
from paribus.notes.pages.results import (
    FOLDER,
    MADE,
    RECORDS,
    Results,
    ablation_path,
    claim_path,
    link,
    seconds,
    section_key,
    section_path,
)
from paribus.report.packed import Shipped
from paribus.report.scoreboard import EVERYWHERE, NOT_RUN, Line

COLUMNS = {
    "holds": ("SUPPORTED", "POSITIVE"),
    "does not hold": ("REVERSED", "REFUTED", "NEGLIGIBLE"),
    "depends": ("CONDITIONAL",),
    "open": ("INCONCLUSIVE", NOT_RUN),
}


def index_page(results: Results) -> str:
    """RESULTS.md."""
    verdicts = {id: _widest(lines).verdict for id, lines in results.lines.items()}
    counts = {head: sum(verdict in kinds for verdict in verdicts.values()) for head, kinds in COLUMNS.items()}
    said = "{holds} hold, {does not hold} do not, {depends} depend on the regime, {open} are open".format(**counts)
    rows = [f"| | {' | '.join(COLUMNS)} |", "|---|---|---|---|---|"]
    for section, ids in results.sections.items():
        cells = [
            ", ".join(link(id, claim_path(id), INDEX) for id in ids if verdicts[id] in kinds)
            for kinds in COLUMNS.values()
        ]
        rows.append(f"| {link(section, section_path(section_key(ids[0])), INDEX)} | {' | '.join(cells)} |")
    arms = ", ".join(link(name, ablation_path(name), INDEX) for name in results.shipped.plans)
    return "\n".join(
        [
            "# Results\n",
            f"Claims of a course on training tricks, each put to the test: {len(verdicts)} claims, {said}. What "
            f"surprised most: {link('ten findings', findings.PAGE, INDEX)}.\n",
            *rows,
            "",
            f"Each id leads to a page with question, verdict, picture, numbers, where it fails, and the command that "
            f"repeats it. {link('What verdicts mean', FOLDER.parent / 'verdicts.md', INDEX)}.\n",
            f"**Arm by arm**: {arms}.\n",
            f"**Raw**: {link('all verdicts as CSV', FOLDER / 'claims.csv', INDEX)}; a CSV for each ablation is on its "
            f"page; every run is in `{RECORDS}`, which `paribus import` reads. To repeat all: `paribus claims notes "
            f"--run`; a section: `paribus claims notes --run --only 1.3`.\n",
            origin(results.shipped, results.again),
            "`python scripts/results.py` makes all pages from the records, and a test compares them. Nothing is typed "
            "by hand but remarks (`results/remarks.yaml`, `results/findings.yaml`).\n",
        ]
    )


def section_page(results: Results, section: str, ids: Sequence[str]) -> str:
    """The claims of a section with their verdicts."""
    here = section_path(section_key(ids[0]))
    rows = ["| claim | | verdict |", "|---|---|---|"]
    for id in ids:
        first, widest = results.lines[id][0], _widest(results.lines[id])
        more = f"; with [other ablations]({claim_path(id).name}): **{widest.verdict}**" if widest is not first else ""
        rows.append(f"| {link(id, claim_path(id), here)} | {first.claim} | **{first.verdict}**{more} |")
    return "\n".join(
        [f"{MADE}\n# {section}\n", f"{link('Results', INDEX, here)}\n", *rows, ""],
    )


def _widest(lines: Sequence[Line]) -> Line:
    """The verdict over all ablations that ask a claim, where there are several; else that of its own."""
    return lines[-1] if lines[-1].regime == EVERYWHERE else lines[0]


def origin(shipped: Shipped, again: Mapping[str, Any]) -> str:
    """Hardware, versions and amount: the facts that a number depends on."""
    records = list(shipped.records.values())
    statuses = ", ".join(
        f"{sum(r.status == status for r in records)} {status}" for status in dict.fromkeys(r.status for r in records)
    )
    hardware = dict.fromkeys(
        f"{h.get('cpu')} ({h.get('cores')} cores, {h.get('device', 'cpu')})"
        for r in records
        if (h := r.provenance.get("hardware"))
    )
    versions: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in (record.provenance.get("versions") or {}).items():
            versions.setdefault(name, {})[version] = None
    lines = [
        f"- {len(records)} runs ({statuses}) and {len(shipped.checks)} checks, "
        f"{duration(sum(map(seconds, records)))} of one core, in stacks and beside other programs.",
        f"- Hardware: {'; '.join(hardware)}.",
        f"- Versions: {', '.join(f'{name} {_or(of)}' for name, of in versions.items())}.",
        again_in_words(shipped, again),
    ]
    return "\n".join(lines) + "\n"


def again_in_words(shipped: Shipped, again: Mapping[str, Any]) -> str:
    """How long the digits take from nothing: the claims of the notes, and what goes beyond them."""
    claims_of = [name for name in again["seconds"] if _has_claims(shipped.plans[name])]
    others = sorted(set(again["seconds"]) - set(claims_of))

    def those(names: Sequence[str], more: float = 0.0) -> str:
        took = sum(again["seconds"][name] for name in names) + more
        return f"{sum(again['runs'][name] for name in names)} runs, {duration(took)}"

    hardware = again["hardware"]
    beyond = f"; beyond them {', '.join(others)}, {those(others)}" if others else ""
    return (
        f"- Again from nothing, the digits on {hardware['cores']} quiet cores ({hardware['cpu']}): the claims of the "
        f"notes with their checks, {those(claims_of, again['checks'])}{beyond}. `python scripts/bench_digits.py`."
    )


def _or(of: Iterable[str]) -> str:
    return " or ".join(of)


def _has_claims(plans: Sequence[Plan]) -> bool:
    return any(plan.ablation.hypotheses for plan in plans if plan.ablation)

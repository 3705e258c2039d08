"""The page of an ablation: its question, a picture, each arm with its mean and difference, and how to repeat it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from paribus.evidence.aggregate import Aggregate
from paribus.notes import ablations as notes
from paribus.notes.pages.literature import papers, with_links
from paribus.notes.pages.results import (
    FOLDER,
    MADE,
    RECORDS,
    Results,
    ablation_path,
    claim_path,
    link,
    relative,
    table_path,
    times,
)
from paribus.report.escape import markdown
from paribus.report.numbers import NONE
from paribus.report.tables import render
from paribus.report.tables.caption import caption
from paribus.report.tables.columns import View, heading, metric_column, unit, with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet

DIFFERENCES = "Differences are paired by seed, with bounds that hold together for all arms of a table."
BOLD = "Bold: not significantly worse than any other arm."


def ablation_page(results: Results, name: str) -> str:
    here = ablation_path(name)
    ids = results.ids_of(name)
    parts = [
        f"{MADE}\n# {name}\n",
        f"{link('Results', here.parents[3] / 'RESULTS.md', here)}\n",
        *([f"{markdown(asked)}\n"] if (asked := results.question(name)) else []),
    ]
    if ids:
        claims = (
            f"- {link(id, claim_path(id), here)}: {results.lines[id][0].claim}. **{results.lines[id][0].verdict}**"
            for id in ids
        )
        parts += ["## Claims\n", *claims, ""]
    for path in results.figures.get(name, ()):
        parts.append(f"![{name}: {PurePosixPath(path).stem}]({relative(PurePosixPath(path), here)})\n")
    for regime, table in results.tables[name].items():
        about = results.regime_words(name, regime)
        parts.append(f"## {': '.join(dict.fromkeys(filter(None, (regime or 'Arms', about))))}\n")
        parts.append(f"{markdown(table)}\n" if isinstance(table, str) else render.markdown(_arms(table)))
    parts += [f"## Remarks\n\n{results.remarks[name]}\n"] if name in results.remarks else []
    said = papers(name)
    parts += [f"## Literature\n\n{with_links(said.rstrip('.'))}.\n"] if said else []
    source = here.parents[3] / "conf" / "ablation" / f"{notes.whole(name)}.yaml"
    parts += [
        "## Again\n",
        f"    paribus train -m ablation={name}\n    paribus table ablation={name}\n",
        f"All of it: {times(name, results.records(name), results.again)}. Without training: `paribus import {RECORDS}` "
        "brings our runs; `paribus table` then prints whole captions, tuned values and p values.\n",
        f"<!-- report: {name} -->\n",
        f"As CSV: {link('every arm with its runs', table_path(name), here)}, "
        f"{link('all verdicts', FOLDER / 'claims.csv', here)}. The file: {link(f'{name}.yaml', source, here)}.\n",
    ]
    return "\n".join(parts)


def _arms(table: Aggregate) -> Sheet:
    """Arm, mean and spread, difference from the baseline."""
    metric = table.metrics[0]
    _, values = metric_column(table, metric, View())
    counts = {row.n for row in table.rows}
    rows = []
    for row, value in zip(table.rows, values, strict=True):
        d = row.cells[metric].difference
        away = [f"{row.diverged} diverged"] if row.diverged else []
        n = [f"n = {row.n}"] if len(counts) > 1 else []
        more = f" ({', '.join(n + away)})" if n + away else ""
        apart = Entry("baseline" if row is table.baseline else NONE)
        apart = with_interval(d.mean, d.low, d.high, metric) if d else apart
        rows.append([Entry(f"{row.arm}{more}"), Entry(value.text, value.rest, value.bold), apart])
    columns = [Column("arm", words=True), Column(heading(metric))]
    columns.append(Column(f"difference from {table.baseline.arm}{unit(metric)}"))
    everywhere = f"n = {counts.pop()} runs for each arm. " if len(counts) == 1 else ""
    bold = f" {BOLD}" if any(value.bold for value in values) else ""
    # Cautions are part of a result.
    cautions = re.findall(r"CAUTION: .*?\.(?= [A-Z]|$)", caption(table, View(), ("difference",)))
    said = " ".join([f"{everywhere}Mean ± standard deviation. {DIFFERENCES}{bold}", *cautions])
    return Sheet("", "", columns, rows, said)

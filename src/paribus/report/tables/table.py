"""Tables as Markdown, LaTeX, HTML or CSV: of an aggregate, or everything that is printed of a plan."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from paribus.evidence.aggregate import Aggregate
from paribus.evidence.budgets import Budgets
from paribus.evidence.targets import TargetTimes
from paribus.report.escape import spreadsheet
from paribus.report.tables import latex as paper
from paribus.report.tables import render
from paribus.report.tables.columns import View
from paribus.report.tables.sheet import Sheet
from paribus.report.tables.sheets import arms_sheet
from paribus.report.tables.terminal import terminal
from paribus.report.tables.trace import traced

RENDER: Mapping[str, Callable[..., str]] = {
    "markdown": render.markdown,
    "latex": paper.latex,
    "html": render.html,
    "terminal": terminal,
}
FORMATS = (*RENDER, "csv")


def markdown(table: Aggregate, view: View | None = None) -> str:
    """A row for each arm, then caption and footnotes."""
    return render.markdown(arms_sheet(table, view))


def latex(table: Aggregate, view: View | None = None) -> str:
    r"""A table environment for \usepackage{booktabs,siunitx}."""
    return paper.latex(arms_sheet(table, view))


def html(table: Aggregate, view: View | None = None) -> str:
    """A fragment without style, see `render.html`."""
    return render.html(arms_sheet(table, view))


def document(
    sheets: Sequence[Sheet],
    form: str,
    trace: bool = True,
    width: str = "column",
    notes: bool = True,
    heat: bool = False,
    traces: dict[str, Any] | None = None,
) -> str:
    """All sheets, with headings where they are several.

    trace: with the comments that `paribus verify` reads. traces: see `trace.traced`. width, notes,
    heat: of LaTeX, see `latex.latex`.
    """
    layout: dict[str, Any] = {"width": width, "notes": notes, "heat": heat} if form == "latex" else {}
    parts = []
    for sheet in sheets:
        text = RENDER[form](sheet, heading=len(sheets) > 1, **layout)
        if trace and sheet.source is not None:
            kept = {"width": width, **({"heat": True} if heat else {})} if layout else {}
            text = traced(text, sheet.source | kept, form, traces)
        parts.append(text)
    return "\n".join(parts)


def notes_text(sheets: Sequence[Sheet], width: str = "column", heat: bool = False) -> str:
    """What `document` leaves out of LaTeX's tables without notes: a paragraph for each."""
    return "\n\n".join(note for sheet in sheets for note in paper.notes_of(sheet, width=width, heat=heat)) + "\n"


def csv_text(
    tables: Sequence[Aggregate],
    times: Iterable[tuple[str, TargetTimes]] = (),
    budgets: Iterable[tuple[str, Budgets]] = (),
) -> str:
    """`lines` as CSV, in full precision; empty where there is no number."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    found = lines(tables, times, budgets)
    writer.writerow(found[0])
    for line in found:
        writer.writerow(spreadsheet(_exact(value)) for value in line.values())
    return buffer.getvalue()


def lines(
    tables: Sequence[Aggregate],
    times: Iterable[tuple[str, TargetTimes]] = (),
    budgets: Iterable[tuple[str, Budgets]] = (),
) -> list[dict[str, Any]]:
    """One line for each table, arm and metric, as recorded (fractions, not percent), and for each unit of the times to
    targets: restricted mean, with the time of each run as its value (inf where it never gets there); and for each
    budget for tuning, where n is the number of trials that tell it.

    difference to p_sign_flip: from the baseline, paired by seed, nan where there is none; at_chance: the mean with
        diverged runs scored at chance; values are in the order of seeds, and runs are the ids of all that are done.
    """
    found = []
    for table in tables:
        tuned = table.plan.tuned if table.plan is not None else {}
        for row in table.rows:
            point = tuned[row.arm].point if row.arm in tuned else {}
            for metric, cell in row.cells.items():
                m, d = cell.mean, cell.difference
                line: dict[str, Any] = {"table": table.name, "arm": row.arm, "metric": metric}
                line |= {"n": m.n, "mean": m.mean, "sd": m.sd, "low": m.low, "high": m.high, "level": table.level}
                line |= {"best": int(cell.best)}
                line |= dict.fromkeys(_PAIRED, math.nan)
                if d is not None:
                    compared = (d.mean, d.low, d.high, d.n, d.d_z, d.p, cell.p_holm, d.p_sign_flip)
                    line |= dict(zip(_PAIRED, compared, strict=True))
                line |= {"at_chance": cell.at_chance.mean if cell.at_chance else math.nan}
                line |= {name: getattr(row, name) for name in ("diverged", "failed", "running", "missing")}
                line |= {"tuned": " ".join(f"{key}={value}" for key, value in point.items())}
                line |= {"seeds": _joined(run.seed for run in row.runs), "values": _joined(cell.values.values())}
                line |= {"runs": _joined(run.id for run in row.runs)}
                found.append(line)
    found += [line for name, each in times for line in _target_lines(name, each)]
    return [*found, *(line for name, each in budgets for line in _budget_lines(name, each))]


def _budget_lines(table: str, found: Budgets) -> Iterator[dict[str, Any]]:
    for label, arm in found.arms.items():
        for own in arm.curve:
            metric = f"{found.metric} after {own.k} trial{'s' if own.k > 1 else ''}"
            line: dict[str, Any] = {"table": table, "arm": label, "metric": metric}
            line |= {"n": found.trials, "mean": own.mean, "sd": math.nan, "low": own.low, "high": own.high}
            line |= {"level": found.level, "best": 0, **dict.fromkeys(_PAIRED, math.nan)}
            if (each := arm.gaps.get(own.k)) is not None:
                gap = each.gap
                line |= {"difference": gap.mean, "difference_low": gap.low, "difference_high": gap.high}
                line |= {"pairs": found.trials, "p": gap.p, "p_holm": each.p_holm}
            line |= {"at_chance": math.nan, "diverged": 0, "failed": 0, "running": 0, "missing": 0, "tuned": ""}
            yield {**line, "seeds": "", "values": "", "runs": ""}


def _target_lines(table: str, times: TargetTimes) -> Iterator[dict[str, Any]]:
    for label, arm in times.arms.items():
        ways = [way for way in arm.ways if way is not None]
        for unit, mean in arm.means.items():
            if unit == "seconds" and times.untimed is not None:
                continue
            line: dict[str, Any] = {"table": table, "arm": label, "metric": f"{unit} to {times.metric} {times.value:g}"}
            line |= {"n": mean.n, "mean": mean.mean, "sd": math.nan, "low": mean.low, "high": mean.high}
            line |= {"level": times.level, "best": 0, **dict.fromkeys(_PAIRED, math.nan)}
            if label != times.baseline:
                line |= {"pairs": arm.pairs, "p": arm.p, "p_holm": arm.p_holm}
            lost = sum(way.record.status == "diverged" for way in ways)
            line |= {"at_chance": math.nan, "diverged": lost, "failed": 0, "running": 0}
            line |= {"missing": len(arm.ways) - arm.n, "tuned": "", "seeds": _joined(way.record.seed for way in ways)}
            line |= {"values": _joined(way.at[unit] if way.reached else math.inf for way in ways)}
            line |= {"runs": _joined(way.record.id for way in ways)}
            yield line


_PAIRED = ("difference", "difference_low", "difference_high", "pairs", "d_z", "p", "p_holm", "p_sign_flip")


def _joined(values: Iterable[Any]) -> str:
    return " ".join(map(str, values))


def _exact(value: Any) -> str:
    return value if isinstance(value, str) else "" if math.isnan(value) else repr(value)

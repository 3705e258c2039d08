"""Tables as Markdown, LaTeX, HTML or CSV: of an aggregate, or everything that is printed of a plan."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence

from paribus.report import render
from paribus.report.aggregate import Aggregate
from paribus.report.columns import View
from paribus.report.escape import spreadsheet
from paribus.report.sheet import Sheet
from paribus.report.sheets import arms_sheet
from paribus.report.trace import traced

RENDER: Mapping[str, Callable[..., str]] = {"markdown": render.markdown, "latex": render.latex, "html": render.html}
FORMATS = (*RENDER, "csv")


def markdown(table: Aggregate, view: View | None = None) -> str:
    """A row for each arm, then caption and footnotes."""
    return render.markdown(arms_sheet(table, view))


def latex(table: Aggregate, view: View | None = None) -> str:
    r"""A table environment for \usepackage{booktabs,siunitx,graphicx}."""
    return render.latex(arms_sheet(table, view))


def html(table: Aggregate, view: View | None = None) -> str:
    """A fragment without style, see `render.html`."""
    return render.html(arms_sheet(table, view))


def document(sheets: Sequence[Sheet], form: str, trace: bool = True) -> str:
    """All sheets, with headings where they are several.

    trace: with the comments that `paribus verify` reads.
    """
    parts = []
    for sheet in sheets:
        text = RENDER[form](sheet, heading=len(sheets) > 1)
        parts.append(traced(text, sheet.source, form) if trace and sheet.source is not None else text)
    return "\n".join(parts)


def csv_text(tables: Sequence[Aggregate]) -> str:
    """One line for each table, arm and metric, in full precision and as recorded (fractions, not percent).

    difference to p_sign_flip: from the baseline, paired by seed, empty where there is none; at_chance: the mean with
        diverged runs scored at chance; values are in the order of seeds, and runs are the ids of all that are done.
    """
    names = ["table", "arm", "metric", "n", "mean", "sd", "low", "high", "level", "best"]
    names += ["difference", "difference_low", "difference_high", "pairs", "d_z", "p", "p_holm", "p_sign_flip"]
    names += ["at_chance", "diverged", "failed", "running", "missing", "tuned", "seeds", "values", "runs"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for table in tables:
        tuned = table.plan.tuned if table.plan is not None else {}
        for row in table.rows:
            point = tuned[row.arm].point if row.arm in tuned else {}
            said = " ".join(f"{key}={value}" for key, value in point.items())
            for metric, cell in row.cells.items():
                m, d = cell.mean, cell.difference
                numbers: list[float] = [m.n, m.mean, m.sd, m.low, m.high, table.level, int(cell.best)]
                numbers += [d.mean, d.low, d.high, d.n, d.d_z, d.p, cell.p_holm, d.p_sign_flip] if d else [math.nan] * 8
                numbers += [cell.at_chance.mean if cell.at_chance else math.nan]
                numbers += [row.diverged, row.failed, row.running, row.missing]
                lists = [[run.seed for run in row.runs], cell.values.values(), [run.id for run in row.runs]]
                joined = (" ".join(map(str, each)) for each in lists)
                cells = [table.name, row.arm, metric, *map(_exact, numbers), said, *joined]
                writer.writerow(map(spreadsheet, cells))
    return buffer.getvalue()


def _exact(number: float) -> str:
    return "" if math.isnan(number) else repr(number)

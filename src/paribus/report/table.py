"""An aggregate as Markdown, LaTeX (booktabs) or CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from paribus.plan.metrics import higher_is_better
from paribus.report import escape
from paribus.report.aggregate import Aggregate, Cell, Row
from paribus.report.caption import caption, footnotes
from paribus.report.numbers import NONE, decimals, p_value, scale, text, title, with_spread

Spread = Literal["sd", "interval"]


@dataclass(frozen=True)
class Entry:
    """One place in a printed table: a bold part and what follows it, neither of them escaped."""

    strong: str
    rest: str = ""


def layout(table: Aggregate, spread: Spread = "sd") -> list[list[Entry]]:
    """Heading and rows, the arms' names in the first column; what Markdown and LaTeX have in common."""
    if spread not in ("sd", "interval"):
        raise ValueError(f"spread is sd or interval, got {spread!r}")
    main, *others = table.metrics
    compared = any(row.cells[main].difference for row in table.rows)
    unit = " (points)" if title(main).endswith("(%)") else ""
    head = [table.varied[0] if len(table.varied) == 1 else "arm", _heading(main)]
    head += [f"difference from {table.baseline.arm}{unit}", "p (Holm)"] if compared else []
    head += [*map(_heading, others), "n"]
    lines = [[Entry("", item) for item in head]]
    for row in table.rows:
        line = [Entry("", escape.plain(row.arm) or "(no name)"), _number(row.cells[main], main, spread)]
        if compared:
            line += _comparison(row, main, row is table.baseline)
        line += [_number(row.cells[metric], metric, spread) for metric in others]
        lines.append([*line, Entry("", str(row.n))])
    return lines


def markdown(table: Aggregate, spread: Spread = "sd") -> str:
    """A pipe table, then its caption and footnotes."""

    def cell(entry: Entry) -> str:
        strong = f"**{escape.markdown(entry.strong)}**" if entry.strong else ""
        return (
            strong + escape.markdown(entry.rest) if not strong else f"{strong} {escape.markdown(entry.rest)}".rstrip()
        )

    lines = [[cell(entry) for entry in line] for line in layout(table, spread)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [t.ljust(w) if k == 0 else t.rjust(w) for k, (t, w) in enumerate(zip(line, widths, strict=True))]
        for line in lines
    ]
    rule = "|".join("-" * (w + 2) if k == 0 else "-" * (w + 1) + ":" for k, w in enumerate(widths))
    head, *rows = (f"| {' | '.join(line)} |" for line in padded)
    notes = [escape.markdown(note) for note in [caption(table, spread), *footnotes(table)]]
    return "\n".join([head, f"|{rule}|", *rows, "", "\n\n".join(notes)]) + "\n"


def latex(table: Aggregate, spread: Spread = "sd") -> str:
    r"""A table environment for \usepackage{booktabs}."""

    def cell(entry: Entry) -> str:
        strong = rf"\textbf{{{escape.latex(entry.strong)}}}" if entry.strong else ""
        return f"{strong} {escape.latex(entry.rest)}".strip()

    head, *rows = ([cell(entry) for entry in line] for line in layout(table, spread))
    label = "".join(c if c.isascii() and c.isalnum() else "-" for c in table.name)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape.latex(caption(table, spread))}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{@{{}}l{'r' * (len(head) - 1)}@{{}}}}",
        r"    \toprule",
        rf"    {' & '.join(head)} \\",
        r"    \midrule",
        *(rf"    {' & '.join(row)} \\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\smallskip{{\footnotesize {escape.latex(note)}\par}}" for note in footnotes(table)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def csv_text(table: Aggregate) -> str:
    """One line for each arm and metric, in full precision and as recorded (fractions, not percent).

    difference to p_sign_flip: from the baseline, paired by seed, empty where there is none; values are in the
        order of seeds, and runs are the ids of all that are done.
    """
    names = ["arm", "metric", "n", "mean", "sd", "low", "high", "level", "best"]
    names += ["difference", "difference_low", "difference_high", "pairs", "d_z", "p", "p_holm", "p_sign_flip"]
    names += ["diverged", "failed", "running", "missing", "seeds", "values", "runs"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for row in table.rows:
        for metric, cell in row.cells.items():
            m, d = cell.mean, cell.difference
            numbers = [m.n, m.mean, m.sd, m.low, m.high, table.level, int(cell.best)]
            numbers += [d.mean, d.low, d.high, d.n, d.d_z, d.p, cell.p_holm, d.p_sign_flip] if d else [math.nan] * 8
            numbers += [row.diverged, row.failed, row.running, row.missing]
            lists = [[run.seed for run in row.runs], cell.values.values(), [run.id for run in row.runs]]
            writer.writerow([row.arm, metric, *map(_exact, numbers), *(" ".join(map(str, each)) for each in lists)])
    return buffer.getvalue()


def _exact(number: float) -> str:
    return "" if math.isnan(number) else repr(number)


def _heading(metric: str) -> str:
    return title(metric) + {True: " ↑", False: " ↓", None: ""}[higher_is_better(metric)]


def _number(cell: Cell, metric: str, spread: Spread) -> Entry:
    factor = scale(metric)
    size = cell.mean.sd if spread == "sd" else cell.mean.half_width
    if metric == "parameters" and size == 0:
        size = math.nan
    mean, around = with_spread(cell.mean.mean * factor, size * factor)
    around = f"± {around}" if around else ""
    return Entry(mean, around) if cell.best else Entry("", f"{mean} {around}".rstrip())


def _comparison(row: Row, metric: str, baseline: bool) -> list[Entry]:
    if baseline:
        return [Entry("", "baseline"), Entry("")]
    difference = row.cells[metric].difference
    if difference is None:
        return [Entry("", NONE), Entry("", NONE)]
    factor = scale(metric)
    mean, low, high = (value * factor for value in (difference.mean, difference.low, difference.high))
    places = min(5, decimals((high - low) / 2))
    shown = f"{text(mean, places, sign=True)} ({text(low, places, sign=True)} to {text(high, places, sign=True)})"
    return [Entry("", shown), Entry("", p_value(row.cells[metric].p_holm))]


FORMATS: dict[str, Callable[[Aggregate], str]] = {"markdown": markdown, "latex": latex, "csv": csv_text}

"""An aggregate as Markdown, LaTeX (booktabs) or CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable

from paribus.report.aggregate import Aggregate, Row
from paribus.stats.intervals import Mean
from paribus.stats.paired import Difference

TITLES = {
    "test/acc": "test accuracy (%)",
    "val/acc": "validation accuracy (%)",
    "train/acc": "training accuracy (%)",
    "test/loss": "test loss",
    "val/loss": "validation loss",
    "train/loss": "training loss",
    "test/ece": "test ECE (%)",
    "val/acc_best": "best validation accuracy (%)",
    "ms_per_update": "ms / update",
    "fit_seconds": "fit (s)",
}


def is_percent(metric: str) -> bool:
    return metric.rsplit("/", 1)[-1].startswith(("acc", "ece"))


def title(metric: str) -> str:
    return TITLES.get(metric, metric)


def plus_minus(summary: Mean, metric: str) -> str:
    """mean ± standard deviation, rounded to two digits of the deviation."""
    scale = 100.0 if is_percent(metric) else 1.0
    mean, sd = summary.mean * scale, summary.sd * scale
    if summary.n == 0:
        return "–"
    if math.isnan(sd):
        return f"{mean:.2f}" if is_percent(metric) else f"{mean:.4g}"
    places = decimals(sd)
    return f"{mean:.{places}f} ± {sd:.{places}f}"


def decimals(uncertainty: float) -> int:
    """Places after the point that show two digits of an uncertainty, at most 4."""
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return 2
    return max(0, min(4, 1 - math.floor(math.log10(uncertainty))))


def interval(difference: Difference | None, metric: str) -> str:
    """+0.31 [-0.10, 0.72]"""
    if difference is None:
        return "–"
    scale = 100.0 if is_percent(metric) else 1.0
    places = decimals((difference.high - difference.low) / 2 * scale)
    mean, low, high = (value * scale for value in (difference.mean, difference.low, difference.high))
    return f"{mean:+.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def p_value(p: float) -> str:
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def caption(table: Aggregate) -> str:
    """What was compared, on what, how often, and what the signs mean."""
    main = table.metrics[0]
    counts = sorted({row.means[main].n for row in table.rows})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    seeds = sorted({seed for row in table.rows for seed in row.seeds if seed is not None})
    facts = table.facts
    parts = [
        f"{table.name}: mean ± standard deviation over {n} seeds ({_ranges(seeds)}).",
        f"Difference: paired by seed from {table.baseline.arm}, in {title(main)}, with its 95 % t interval; p after Holm.",
        f"Budget {facts.get('budget')}; test metrics from the {facts.get('evaluated')} checkpoint; data {facts.get('data')}.",
    ]
    if any(row.best for row in table.rows):
        parts.append("Bold: the best mean and the arms that can't be told from it (paired t test at 5 %, after Holm).")
    return " ".join(parts)


def _ranges(seeds: list[int]) -> str:
    if seeds and seeds == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2:
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))


def footnotes(table: Aggregate) -> list[str]:
    notes = []
    for row in table.rows:
        said = [
            f"{count} {what}"
            for count, what in ((row.diverged, "diverged"), (row.failed, "failed"), (row.missing, "not trained yet"))
            if count
        ]
        if said:
            notes.append(f"{row.arm}: {', '.join(said)}; not in the means.")
    return notes


def cells(table: Aggregate, row: Row, bold: Callable[[str], str]) -> list[str]:
    """The text of a row after its name."""
    main = table.metrics[0]
    texts = [plus_minus(row.means[metric], metric) for metric in table.metrics]
    if row.best:
        texts[0] = bold(texts[0])
    baseline = row is table.baseline
    compared = ["baseline" if baseline else interval(row.difference, main), "" if baseline else p_value(row.p_adjusted)]
    return [texts[0], *compared, *texts[1:], str(row.means[main].n)]


def header(table: Aggregate) -> list[str]:
    return ["", title(table.metrics[0]), "difference", "p", *[title(m) for m in table.metrics[1:]], "n"]


def markdown(table: Aggregate) -> str:
    rows = [[escape_markdown(row.arm), *cells(table, row, lambda text: f"**{text}**")] for row in table.rows]
    head = header(table)
    widths = [max(len(line[k]) for line in [head, *rows]) for k in range(len(head))]
    widths = [max(3, width) for width in widths]

    def line(texts: list[str]) -> str:
        first, *rest = (text.ljust(w) if k == 0 else text.rjust(w) for k, (text, w) in enumerate(zip(texts, widths, strict=True)))
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join("-" * (w + 2) if k == 0 else "-" * (w + 1) + ":" for k, w in enumerate(widths)) + "|"
    notes = [escape_markdown(note) for note in footnotes(table)]
    return "\n".join([line(head), rule, *map(line, rows), "", escape_markdown(caption(table)), *notes]) + "\n"


def latex(table: Aggregate) -> str:
    """Needs \\usepackage{booktabs}."""

    def text(value: str) -> str:
        return escape_latex(value)

    lines = [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{text(caption(table))}}}",
        f"  \\label{{tab:{''.join(c if c.isalnum() else '-' for c in table.name)}}}",
        f"  \\begin{{tabular}}{{l{'r' * (len(header(table)) - 1)}}}",
        "    \\toprule",
        "    " + " & ".join(text(item) for item in header(table)) + " \\\\",
        "    \\midrule",
    ]
    for row in table.rows:
        texts = [text(row.arm), *(text(item) for item in cells(table, row, lambda value: value))]
        if row.best:
            texts[1] = f"\\textbf{{{texts[1]}}}"
        lines.append("    " + " & ".join(texts) + " \\\\")
    lines += ["    \\bottomrule", "  \\end{tabular}"]
    lines += [f"  \\par\\footnotesize {text(note)}" for note in footnotes(table)]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def csv_text(table: Aggregate) -> str:
    """One line for each arm and metric, in full precision."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = ["arm", "metric", "n", "mean", "sd", "low", "high", "diverged", "failed", "missing", "difference", "p_holm", "runs"]
    writer.writerow(names)
    for row in table.rows:
        for metric in table.metrics:
            m = row.means[metric]
            compared = metric == table.metrics[0] and row.difference is not None
            difference = repr(row.difference.mean) if compared and row.difference else ""
            numbers = ["" if math.isnan(v) else repr(v) for v in (m.mean, m.sd, m.low, m.high)]
            p = repr(row.p_adjusted) if compared and not math.isnan(row.p_adjusted) else ""
            counts = [row.diverged, row.failed, row.missing]
            writer.writerow([row.arm, metric, m.n, *numbers, *counts, difference, p, " ".join(row.ids)])
    return buffer.getvalue()


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "–": "--",
    "\n": " ",
    "\r": " ",
}


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_LATEX.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    """Text that Markdown, and HTML in it, shows as it stands."""
    for character in "\\`*[]|":
        text = text.replace(character, "\\" + character)
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # within a word it means nothing
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ").replace("\r", " ")


FORMATS = {"markdown": markdown, "latex": latex, "csv": csv_text}

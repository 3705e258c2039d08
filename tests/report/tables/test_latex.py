"""Tables that a real LaTeX prints: what comes out of the PDF is what the sheet says."""

from __future__ import annotations

import re
import subprocess

import pytest

from paribus.evidence.aggregate import aggregate
from paribus.report.tables.columns import COLUMNS, View
from paribus.report.tables.render import latex
from paribus.report.tables.sheet import Column, Entry, Sheet
from paribus.report.tables.sheets import arms_sheet
from paribus.store.record import Record

HOSTILE = [
    r"\end{table}\input{/etc/passwd}", "a | b || c", "100% & $x_1$ # {~^}", "[1ex] * starred", "β=0.9 中文 😀 é",
    "-- --- ``''", '"quoted", <comma>', "\\", "_^_",
]  # fmt: skip
DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=1cm,paperwidth=40cm,paperheight=60cm]{geometry}
\usepackage{booktabs,siunitx,graphicx}
\begin{document}
%s
\end{document}
"""

needs_latex = pytest.mark.needs("latex")


def printed(tables: str, tmp_path) -> tuple[str, str]:
    """The text of the PDF, as laid out, and LaTeX's log."""
    (tmp_path / "paper.tex").write_text(DOCUMENT % tables, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    log = (tmp_path / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2_000:]
    text = subprocess.run(["pdftotext", "-layout", "paper.pdf", "-"], cwd=tmp_path, capture_output=True, check=True)
    return text.stdout.decode(), log


def study(names, n=4):
    arms = {}
    for k, name in enumerate(names):
        arms[name] = [
            Record(f"{k}-{s}", "done", seed=s, parameters=1234 + k, choices={"norm": name, "data": name},
                   comparable={"budget": "20 epochs"}, timing={"fit_seconds": 1.0 + s / 7},
                   metrics={"test/acc": 0.9 - 0.1 * (k == 1) + s / 1000 * (1 + k % 2), "test/loss": 3.2e-7 + s * 1e-9})
            for s in range(n)
        ]  # fmt: skip
    arms[names[-1]].append(
        Record("x", "diverged", seed=9, choices=arms[names[-1]][0].choices, comparable={"budget": "20 epochs"})
    )
    return aggregate(names[0] or "x", arms, ["test/acc", "test/loss", "parameters", "fit_seconds"], mix=["data"])


@needs_latex
def test_the_numbers_come_out_as_they_went_in(tmp_path):
    table = study(["batch", "none", "layer"])
    sheet = arms_sheet(table, View(columns=(*table.metrics, *(name for name in COLUMNS if name != "tuned"))))
    text, log = printed(latex(sheet), tmp_path)
    assert "Overfull" not in log
    lines = text.split("\n")
    for row in sheet.rows:
        [line] = [line for line in lines if re.match(rf"\s*{row[0].text}[\d,]*\s", line)]
        shown = re.sub(r"\s+", "", line.replace("−", "-"))
        for entry in row[1:]:
            wanted = re.sub(r"\s+", "", f"{entry.text}{entry.rest}".replace("−", "-"))
            if "e-" not in wanted:  # printed as ten to the power
                assert wanted in shown, (wanted, shown)
    assert "1,234" in text


@needs_latex
def test_points_stand_below_each_other(tmp_path):
    rows = [[Entry(f"arm{k}"), Entry(text, "± 0.1")] for k, text in enumerate(["1.25", "−10.5", "+7", "0.125"])]
    text, _ = printed(latex(Sheet("t", "t", [Column("arm", words=True), Column("v")], rows, "caption")), tmp_path)
    lines = [line for line in text.split("\n") if "arm" in line and "±" in line]
    assert len(lines) == 4
    assert len({line.index(".") for line in lines if "." in line.split("±")[0]}) <= 2  # pdftotext rounds to letters


@needs_latex
def test_hostile_names_are_printed_and_do_nothing(tmp_path):
    tables = []
    for name in HOSTILE:
        table = study([name, "none", f"x {name}"])
        table.name = name
        tables.append(latex(arms_sheet(table)))
    text, _ = printed("\n\\clearpage\n".join(tables), tmp_path)
    assert "root:" not in text
    assert text.count("Ablation") == len(HOSTILE)
    assert "\\end{table}\\input{/etc/passwd}" in text
    assert "100% & $x" in text  # the underscore is drawn
    assert "a | b || c" in text
    assert "U+4E2D" in text  # pdfLaTeX has no such letter, and says which it is


@needs_latex
def test_wide_tables_fit_and_long_claims_are_broken_into_lines(tmp_path):
    words = "a claim of many words that no line of a paper could hold beside its numbers"
    row = [Entry(words), *(Entry(f"{k}.125", "(−1.25 to +1.25)") for k in range(16)), Entry("SUPPORTED", bold=True)]
    columns = [
        Column("claim", words=True),
        *(Column("a long heading") for _ in range(16)),
        Column("verdict", words=True),
    ]
    text, log = printed(latex(Sheet("t", "t", columns, [row, row], "caption")), tmp_path)
    assert "Overfull" not in log
    assert text.count("SUPPORTED") == 2


def test_headings_of_numbers_and_what_follows_share_a_column():
    sheet = Sheet("t", "t", [Column("a", words=True), Column("v")], [[Entry("x"), Entry("1.5", "± 0.1", marks=(1,))]],
                  "c", ["note"])  # fmt: skip
    text = latex(sheet)
    assert r"S[table-format=1.1] @{\,}l@{}" in text
    assert r"a & \multicolumn{2}{c}{v} \\" in text
    assert r"x & 1.5 & $\pm$ 0.1\textsuperscript{1} \\" in text
    assert r"\textsuperscript{1}note\par" in text

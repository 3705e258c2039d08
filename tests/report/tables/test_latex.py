"""Tables that a real LaTeX prints: what comes out of the PDF is what the sheet says."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest
from shipped_results import shipped

from paribus.ablation.cells import Cell, Plan
from paribus.ablation.parser import parse
from paribus.evidence.aggregate import aggregate
from paribus.notes import ablations as notes
from paribus.report.tables.columns import COLUMNS, View
from paribus.report.tables.latex import SHADED, fitting, latex, notes_of
from paribus.report.tables.sheet import Column, Entry, Sheet
from paribus.report.tables.sheets import arms_sheet
from paribus.report.tables.source import Options, sheets
from paribus.report.tables.table import document
from paribus.report.tables.verify import verify
from paribus.store.record import Record

HOSTILE = [
    r"\end{table}\input{/etc/passwd}", "a | b || c", "100% & $x_1$ # {~^}", "[1ex] * starred", "β=0.9 中文 😀 é",
    "-- --- ``''", '"quoted", <comma>', "\\", "_^_",
]  # fmt: skip
DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=1cm,paperwidth=40cm,paperheight=60cm]{geometry}
\usepackage{booktabs,siunitx,array}
\begin{document}
%s
\end{document}
"""

TWO_COLUMNS = r"""\documentclass[twocolumn]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{times,booktabs,siunitx,array}
\usepackage[letterpaper,hmargin=0.75in,columnsep=0.25in,vmargin=0.5in,textheight=10in]{geometry}
\begin{document}
%s
\end{document}
"""

needs_latex = pytest.mark.needs("latex")


def printed(tables: str, tmp_path, document: str = DOCUMENT) -> tuple[str, str]:
    """The text of the PDF, as laid out, and LaTeX's log."""
    (tmp_path / "paper.tex").write_text(document % tables, encoding="utf-8")
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
    assert text.count("Ablation") == 2 * len(HOSTILE)  # in the caption and in the notes
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
        Column("verdict", words=True, rank=0),
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


@needs_latex
@pytest.mark.parametrize(
    "name",
    [
        name if k % 8 == 0 else pytest.param(name, marks=pytest.mark.slow)
        for k, name in enumerate(sorted(notes.names()))
    ],
)
def test_shipped_tables_fit_a_column_of_two_in_legible_type(tmp_path, name):
    """Type of at least 7 points, nothing beyond the column, captions of two lines and at most five columns."""
    plans = shipped().plans[name]
    found = sheets(plans, shipped().record, Options((plans[0].metric,)), lambda id: {})
    text = "\n\\clearpage\n".join(latex(sheet) for sheet in found)
    _, log = printed(text, tmp_path, TWO_COLUMNS)
    assert "Overfull" not in log
    assert "resizebox" not in text
    assert all(len(fitting(sheet)[0].columns) <= 5 for sheet in found if "table*" not in latex(sheet))
    xml = subprocess.run(
        ["pdftohtml", "-xml", "-i", "-stdout", "-zoom", "1", "paper.pdf"], cwd=tmp_path, capture_output=True, check=True
    ).stdout.decode()
    sizes = dict(re.findall(r'<fontspec id="(\d+)" size="(\d+)"', xml))
    words = re.findall(r'<text [^>]*font="(\d+)"[^>]*>(.*?)</text>', xml)
    small = [said for font, said in words if int(sizes[font]) < 7 and re.search("[A-Za-z]", re.sub("<.*?>", "", said))]
    assert small == []


@needs_latex
def test_signs_of_typography_are_printed_as_themselves(tmp_path):
    said = "it’s a — “b” ≈ 1 … é"
    text, _ = printed(latex(Sheet("t", "t", [Column("a", words=True)], [[Entry("x")]], said)), tmp_path)
    assert "it’s a — “b” ≈ 1" in text
    assert "U+" not in text


def test_what_does_not_fit_a_column_is_left_out_and_said():
    columns = [
        Column("arm", words=True, rank=0),
        Column("accuracy", rank=0),
        Column("claim", words=True, rank=4, noted=True),
    ]
    columns += [Column(f"metric {k}") for k in range(6)]
    row = [Entry("batch"), Entry("1.5", "± 0.1"), Entry("it helps"), *(Entry("0.125", "± 0.001") for _ in range(6))]
    sheet = Sheet("t", "t", columns, [row], "The long caption.", short="Short.")
    text = latex(sheet)
    assert text.index("Short.") < text.index("batch") < text.index("The long caption.")
    assert r"\scriptsize batch: it helps.\par" in text
    assert "Not shown: metric" in text
    assert r"\begin{table}" in text
    assert r"\scriptsize" not in latex(sheet, notes=False).partition(r"\end{tabular}")[2]
    assert notes_of(sheet)[0] == "The long caption."
    full = latex(sheet, width="full")
    assert r"\begin{table*}" in full
    assert full.count("0.125") == 6


def a_grid(columns: str) -> tuple[Plan, dict[str, Record]]:
    """Two rows, of which the second is two points better, and each column three points better than the one before."""
    [ablation] = parse({"name": "g", "design": "grid", "factors": {"norm": ["a", "b"], "size": [*columns]}, "seeds": 2})
    plan, records = Plan("g", ablation.metric, ablation=ablation), {}
    for row, norm in enumerate("ab"):
        for column, size in enumerate(columns):
            arm, ids = f"norm={norm}, size={size}", [f"{norm}{size}{seed}" for seed in range(2)]
            plan.levels[arm] = {"norm": norm, "size": size}
            plan.arms[arm] = [Cell(arm, seed, "report", (), id) for seed, id in enumerate(ids)]
            for seed, id in enumerate(ids):
                metrics = {"test/acc": 0.7 + (2 * row + 3 * column + seed) / 100}
                records[id] = Record(id, "done", seed=seed, arm=arm, choices=plan.levels[arm], metrics=metrics)
    return plan, records


def test_every_level_of_a_grid_is_shown():
    """A grid that is wider than a column takes both."""
    plan, records = a_grid("cdefghij")
    [grid, *_] = sheets([plan], records.get, Options(("test/acc",)))
    text = latex(grid)
    assert r"\begin{table*}" in text
    assert "Not shown" not in text
    assert all(rf"\multicolumn{{2}}{{c}}{{{size}}}" in text for size in "cdefghij")


def test_a_grid_is_shaded_from_its_worst_to_its_best():
    plan, records = a_grid("cde")
    [grid, *_] = sheets([plan], records.get, Options(("test/acc",)))
    shades = [entry.shade for row in grid.rows for entry in row[1:]]
    assert shades == pytest.approx([0, 3 / 8, 6 / 8, 2 / 8, 5 / 8, 1])
    text = latex(grid, heat=True)
    assert text.count(r"\cellcolor") == 6
    assert r"\cellcolor[RGB]{247,251,255}" in text
    assert r"\cellcolor[RGB]{107,174,214}" in text
    assert SHADED in text
    assert r"\cellcolor" not in latex(grid)
    assert SHADED not in latex(grid)
    losses = {id: replace(record, metrics={"test/loss": record.metrics["test/acc"]}) for id, record in records.items()}
    [falling, *_] = sheets([plan], losses.get, Options(("test/loss",)))
    assert [entry.shade for row in falling.rows for entry in row[1:]] == pytest.approx([1 - each for each in shades])


@needs_latex
def test_a_shaded_grid_is_printed_as_it_is_unshaded(tmp_path):
    plan, records = a_grid("cde")
    [grid, *_] = sheets([plan], records.get, Options(("test/acc",)))
    shading = DOCUMENT.replace(r"\begin{document}", "\\usepackage[table]{xcolor}\n\\begin{document}")
    text, log = printed(latex(grid, heat=True), tmp_path, shading)
    assert "Overfull" not in log
    wanted = [entry.text for row in grid.rows for entry in row[1:]]
    assert [
        each
        for line in text.split("\n")
        if re.match(r"\s*[ab]\s", line)
        for each in re.findall(r"\d+\.\d+(?= ±)", line)
    ] == wanted


def test_a_shaded_grid_is_verified():
    plan, records = a_grid("cde")
    found = sheets([plan], records.get, Options(("test/acc",)))
    text = document(found, "latex", heat=True)
    assert [each.drift for each in verify(text, records.get)] == [[] for _ in found]
    wrong = text.replace("76.5", "76.6", 1)
    assert wrong != text
    [said] = verify(wrong, records.get)[0].drift
    assert said == "row 'a', column 'e': says 76.60, the records say 76.50"

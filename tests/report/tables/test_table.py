"""Tables: what they say, in three formats, and names that can't change them."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats

from paribus.evidence.aggregate import Aggregate, aggregate
from paribus.evidence.arms import ReportError
from paribus.report import escape
from paribus.report.escape import plain, spreadsheet
from paribus.report.tables.caption import footnotes
from paribus.report.tables.columns import View, detectable
from paribus.report.tables.table import FORMATS, csv_text, html, latex, markdown
from paribus.stats.effect import paired_power
from paribus.store.record import Record

HOSTILE = [
    r"\end{table}\input{/etc/passwd}",
    "a | b || c",
    "two\nlines\r\n| x | y |",
    "<script>alert(1)</script>&lt;",
    "100% & $x_1$ # {~^}",
    "**bold** _em_ `code` [link](http://x.y) ![i](z)",
    "[1ex] * starred",
    "www.example.com\u202eevil\x1b[31m\x00",
    "- 1. # heading \\\\ \\",
    "β=0.9 中文 😀 é",
    "-- --- ``''",
    "",
    '"quoted", comma',
]


def table(names=("batch", "none", "layer"), n: int = 3, drop: float = 0.05, **choices) -> Aggregate:
    arms = {}
    for k, name in enumerate(names):
        arms[name] = [
            Record(
                id=f"{k}-{s}",
                status="done",
                seed=s,
                choices={"norm": name, "data": "digits", "optimizer": "sgd", **choices},
                comparable={"budget": "20 epochs", "world_size": 1},
                metrics={
                    "test/acc": 0.97 - drop * (k > 1) + 0.001 * ((7 * k + 3 * s) % 5),
                    "test/loss": 0.1 + s / 1000,
                },
                timing={"ms_per_update": 1.5 + s / 10},
                parameters=1000 + k,
            )
            for s in range(n)
        ]
    return aggregate("norm", arms, ["test/acc", "test/loss", "ms_per_update", "parameters"])


def pipe_rows(text: str) -> list[list[str]]:
    """Cells of a pipe table as written; a pipe splits unless a backslash stands before it."""
    lines = [line for line in text.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def column(text: str, head: str) -> list[str]:
    names, _, *rows = pipe_rows(text)
    return [row[names.index(head)] for row in rows]


def test_markdown():
    head, rule, *rows = pipe_rows(markdown(table()))
    assert head == [
        "norm", "test accuracy (%) ↑", "difference from batch (points)", "p (Holm)", "p (sign flip)", "test loss ↓",
        "ms / update", "parameters", "n",
    ]  # fmt: skip
    assert set("".join(rule)) == {"-", ":"}
    assert rows[0][:5] == ["batch", "**97.13** ± 0.15", "baseline", "", ""]
    assert rows[0][5:] == ["0.1010 ± 0.0010", "1.60 ± 0.10", "1,000", "3"]
    assert [row[0] for row in rows] == ["batch", "none", "layer"]
    assert re.fullmatch(r"−4\.\d+ \(−\d\.\d+ to −\d\.\d+\)", rows[2][2])
    assert not rows[2][1].startswith("**")


def test_the_time_that_the_runs_of_a_stack_share_has_no_spread():
    found = table()
    for row in found.rows:
        for run in row.runs:
            run.timing["ms_per_update"] = 9.9966
    again = aggregate("norm", {row.arm: list(row.runs) for row in found.rows}, ["test/acc", "ms_per_update"])
    assert column(markdown(again), "ms / update") == ["9.997"] * 3


def test_points_stand_below_each_other_in_the_source():
    lines = [line for line in markdown(table()).split("\n") if line.startswith("|")][2:]
    places = {line.split("|")[2].index(".") for line in lines}
    assert len(places) == 1


def test_what_stands_behind_the_sign_is_said_and_right():
    sd, interval = markdown(table()), markdown(table(), View("interval"))
    assert "**97.13** ± 0.15" in sd
    assert "Mean ± standard deviation over n = 3 runs per arm (seeds 0–2)." in sd
    assert "**97.13** ± 0.38" in interval  # 4.303 / sqrt(3) deviations
    assert "Mean ± half the width of the 95 % t interval over n = 3 runs" in interval
    with pytest.raises(ReportError, match="sd or interval, got 'se'"):
        View("se")


def test_columns_are_chosen_by_name():
    chosen = ("test/acc", "d_z", "improvement", "detectable", "diverged", "at_chance", "n")
    head, _, *rows = pipe_rows(markdown(table(n=6), View(columns=chosen)))
    assert head == [
        "norm", "test accuracy (%) ↑", "effect size d_z", "P(better than batch)", "detectable with 80 % power (points)",
        "diverged (%)", "test accuracy (%) ↑, diverged at chance", "n",
    ]  # fmt: skip
    layer = table(n=6).rows[2].cells["test/acc"]
    assert rows[2][2] == f"{layer.difference.d_z:+.2f}".replace("-", "−")
    assert rows[2][3] == "0.00 (0.00 to 0.46)"
    assert rows[2][5] == "0 (0 to 46 %)"
    assert float(rows[2][4]) > 0
    with pytest.raises(ReportError, match=r"got 'speed'.*ms_per_update.*sign_flip"):
        markdown(table(), View(columns=("speed",)))


def test_what_would_be_detected_is_at_the_level_of_the_bounds():
    found = table(("batch", "none", "layer", "group"), n=6, drop=0.0)
    for row in found.rows[1:]:
        cell = row.cells["test/acc"]
        least = detectable(found, cell) / cell.difference.sd
        assert paired_power(least, 6, 2 * cell.alpha) == pytest.approx(0.8, abs=1e-6)
        assert cell.alpha < 0.05 / 2, "three comparisons share the error"


def test_the_caption_says_what_a_reader_must_know():
    said = markdown(table())
    for part in (
        "Ablation norm: norm varies",
        "(data digits, optimizer sgd, 20 epochs)",
        "n = 3 runs per arm (seeds 0–2)",
        "of the weights after the last update, on the test split",
        "arm minus batch, mean over shared seeds, with its t interval, adjusted as p is: all signs",
        "adjusted by Holm for 2 comparisons",
        "exact test of the same differences, not adjusted; with 3 pairs its smallest possible value is 0.25",
        "would be detected with 80 % power",
        "Bold: not significantly worse than any other arm",
    ):
        assert part in said
    assert "CAUTION" not in said
    assert "(smallest possible value 0.016)" in markdown(table(n=7))


def test_single_runs_claim_nothing():
    alone = table(n=1)
    text = markdown(alone)
    assert "±" not in text
    assert "difference" not in text
    assert "**" not in text
    assert "Single runs, n = 1 run per arm (seed 0), which show nothing about the spread" in text


def run(id: str, status: str = "done", seed: int | None = 0, acc: float = 0.9) -> Record:
    return Record(id=id, status=status, seed=seed, metrics={"test/acc": acc} if status == "done" else {})


def test_runs_that_are_not_in_the_means_have_a_footnote():
    given = {
        "batch": [run("0"), None],
        "none": [run("a", "failed", 1), run("b", "running", 2), run("4", seed=4, acc=float("nan"))],
        "layer": [run("5", seed=5), None],
    }
    notes, marks = footnotes(aggregate("norm", given, ["test/acc"]))
    assert notes == [
        "Excluded from the means: 1 not trained yet, of 2 runs.",
        "Excluded from the means: 1 failed, 1 not finished yet, of 3 runs.",
        "Without a finite test accuracy (%): 1 of the 1 finished runs.",
    ]
    assert marks == {"batch": (1,), "none": (2, 3), "layer": (1,)}
    text = markdown(aggregate("norm", given, ["test/acc"]))
    assert column(text, "arm") == ["batch¹", "none² ³", "layer¹"]
    assert "\n\n¹ Excluded from the means: 1 not trained yet, of 2 runs.\n" in text
    assert "none<sup>2,3</sup>" in re.sub("</?span>", "", html(aggregate("norm", given, ["test/acc"])))
    assert r"none\textsuperscript{2,3} &" in latex(aggregate("norm", given, ["test/acc"]))


def test_divergence_is_a_rate_and_a_mean_at_chance():
    runs = [run(str(s), seed=s, acc=0.9 + s / 100) for s in range(8)]
    runs += [Record(str(s), "diverged", seed=s, classes=10) for s in (8, 9)]
    for each in runs:
        each.classes = 10
    found = aggregate("norm", {"batch": runs}, ["test/acc"])
    [row] = found.rows
    rate = stats.binomtest(2, 10).proportion_ci(method="exact")
    assert (row.divergence.low, row.divergence.high) == pytest.approx((rate.low, rate.high))
    scored = [0.9 + s / 100 for s in range(8)] + [0.1, 0.1]
    assert row.cells["test/acc"].at_chance.mean == pytest.approx(np.mean(scored))
    notes, _ = footnotes(found)
    assert notes[1] == (
        f"Divergence rate 20 % (95 % Clopper-Pearson 3 to 56 %); test accuracy (%) {100 * np.mean(scored):.0f} ± "
        f"{100 * np.std(scored, ddof=1):.0f} with diverged runs scored at chance (± standard deviation)."
    )


def test_mixing_leaves_a_trace():
    runs = [Record(id=b, status="done", comparable={"budget": b}, metrics={"test/acc": 0.5}) for b in ("10", "20")]
    mixed = aggregate("x", {"a": runs[:1], "b": runs[1:]}, ["test/acc"], mix=["budget"])
    assert "CAUTION: the runs differ in budget." in markdown(mixed)


def test_csv_is_tidy_and_exact():
    aggregated = table()
    lines = list(csv.DictReader(io.StringIO(csv_text([aggregated, aggregated]))))
    assert [(line["arm"], line["metric"]) for line in lines[:5]] == [
        *(("batch", m) for m in ("test/acc", "test/loss", "ms_per_update", "parameters")),
        ("none", "test/acc"),
    ]
    assert lines[12:] == lines[:12]
    cell = aggregated.rows[2].cells["test/acc"]
    line = lines[8]
    assert float(line["mean"]) == cell.mean.mean
    assert float(line["difference_low"]) == cell.difference.low
    assert float(line["p_holm"]) == cell.p_holm
    assert float(line["p_sign_flip"]) == cell.difference.p_sign_flip
    assert [float(value) for value in line["values"].split()] == list(cell.values.values())
    assert (line["runs"], line["seeds"], line["best"], lines[0]["best"]) == ("2-0 2-1 2-2", "0 1 2", "0", "1")
    assert lines[0]["difference"] == ""


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("baseline", [False, True])
def test_hostile_names_do_not_change_markdown(name, baseline):
    """A real parser finds the same structure, and the name as text."""
    names = (name, "none", "layer") if baseline else ("batch", name, "layer")
    usual, hostile = markdown(table()), markdown(table(names, data=name))
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    expected, found = parser.parse(usual), parser.parse(hostile)
    assert [token.type for token in found] == [token.type for token in expected]
    inline = [token.children or [] for token in found if token.type == "inline"]
    assert {child.type for each in inline for child in each} == {"text", "strong_open", "strong_close"}
    shown = ["".join(child.content for child in each) for each in inline]
    assert (plain(name) or "(no name)") in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", hostile)
    assert not re.search(r"https?:|www\.", hostile)  # GitHub would make links of them


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("baseline", [False, True])
def test_hostile_names_do_not_change_latex(name, baseline):
    names = (name, "none", "layer") if baseline else ("batch", name, "layer")
    usual, hostile = latex(table()), latex(table(names, data=name))
    ours = r"\\(begin|end)\{table\*?\}|\\(centering|toprule|midrule|bottomrule|par\b|smallskip)"
    assert re.findall(ours, hostile) == re.findall(ours, usual)
    # Take out what prints one character; nothing that steers LaTeX may be left in the rows.
    body = hostile[hostile.index("\\midrule") + 8 : hostile.index("\\bottomrule")]
    other = r"\{\\ifdefined\\Umathcode .\\else U\+[0-9A-F]+\\fi\}"
    printed = (
        r"\\[%&#_{}$]|\\text(backslash|asciitilde|asciicircum|asciigrave|less|greater|bar|endash)\{\}|\$\\?[a-zA-Z-]+\$"
        r"|\{[\[\]*]\}|\{\\char34\}|\\bfseries |\{baseline\}|(?<=& )\{\}|-\{\}(?=-)|" + other
    )
    rest = re.sub(printed, "", body)
    lines = [line for line in rest.split("\n") if line.strip()]
    assert len(lines) == 3
    assert all(line.endswith(r"\\") and line.count("&") == lines[0].count("&") > 1 for line in lines)
    assert not re.search(r"[%#_{}$~^\[\]*]", rest)
    assert not re.search(r"\\", "".join(line[:-2] for line in lines))
    assert "--" not in rest


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("baseline", [False, True])
def test_hostile_names_do_not_change_html(name, baseline):
    names = (name, "none", "layer") if baseline else ("batch", name, "layer")

    class Reader(HTMLParser):
        def __init__(self, text):
            super().__init__()
            self.tags, self.data = [], []
            self.feed(text)
            self.close()

        def handle_starttag(self, tag, attributes):
            self.tags.append((tag, sorted(key for key, _ in attributes)))

        def handle_data(self, data):
            self.data.append(data)

    usual, hostile = Reader(html(table())), Reader(html(table(names, data=name)))
    assert hostile.tags == usual.tags
    assert (plain(name) or "(no name)") in hostile.data


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_gives_hostile_names_back(name):
    lines = list(csv.DictReader(io.StringIO(csv_text([table(("batch", name))]), newline="")))
    assert {line["arm"] for line in lines} == {"batch", spreadsheet(name)}


def test_names_stay_legible():
    text = markdown(table(("batch_renorm", "lr=0.1, norm=batch+weight", "β=0.9")))
    assert "| batch_renorm " in text
    assert "| lr=0.1, norm=batch+weight " in text
    assert r"batch\_renorm &" in latex(table(("batch_renorm",)))
    assert r"$\beta$=0.9" in latex(table(("batch", "β=0.9")))


def test_a_hostile_table_name_stays_out_of_the_label():
    renamed = table()
    renamed.name = "x}\\input{y}"
    assert r"\label{tab:x-input-y}" in latex(renamed)
    assert r"\input" not in latex(renamed)


def test_tables_are_quick_and_import_neither_torch_nor_pandas():
    script = (
        "import sys\n"
        "from paribus.evidence.aggregate import aggregate\n"
        "from paribus.report.tables.table import csv_text, html, latex, markdown\n"
        "from paribus.store.record import Record\n"
        "run = lambda a, s: Record(id=a + str(s), status='done', seed=s, metrics={'test/acc': s / 10})\n"
        "arms = {a: [run(a, s) for s in range(3)] for a in 'ab'}\n"
        "found = aggregate('x', arms, ['test/acc'])\n"
        "assert all(form(found) for form in (html, latex, markdown)) and csv_text([found])\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'scipy.stats', 'pytorch_lightning', 'hydra', 'wandb'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert FORMATS == ("markdown", "latex", "html", "terminal", "csv")


@pytest.mark.parametrize("text", ["p < 0.001", "5 > 3", "Q & A", "t(B) / t(1) <= 2", "3 <4>"])
def test_markdown_leaves_what_means_nothing_as_it_is(text):
    """A terminal shows it, too."""
    assert escape.markdown(text) == text
    [_, inline, _] = MarkdownIt("commonmark").parse(text)
    assert "".join(child.content for child in inline.children) == text
    assert [child.type for child in inline.children] == ["text"]

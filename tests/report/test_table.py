"""Tables: what they say, in three formats, and names that can't change them."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt

from paribus.report.aggregate import Aggregate, aggregate
from paribus.report.caption import caption, footnotes
from paribus.report.escape import plain
from paribus.report.table import FORMATS, csv_text, latex, markdown
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


def table(names=("batch", "none", "layer"), n: int = 3, **choices) -> Aggregate:
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
                    "test/acc": 0.97 - 0.05 * (k > 1) + 0.001 * ((7 * k + 3 * s) % 5),
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


def test_markdown():
    head, rule, *rows = pipe_rows(markdown(table()))
    assert head == [
        "norm", "test accuracy (%) ↑", "difference from batch (points)", "p (Holm)", "test loss ↓",
        "ms / update", "parameters", "n",
    ]  # fmt: skip
    assert set("".join(rule)) == {"-", ":"}
    assert rows[0][:4] == ["batch", "**97.13** ± 0.15", "baseline", ""]
    assert rows[0][4:] == ["0.1010 ± 0.0010", "1.60 ± 0.10", "1,000", "3"]
    assert [row[0] for row in rows] == ["batch", "none", "layer"]
    assert re.fullmatch(r"−4\.\d+ \(−\d\.\d+ to −\d\.\d+\)", rows[2][2])
    assert not rows[2][1].startswith("**")


def test_what_stands_behind_the_sign_is_said_and_right():
    sd, interval = markdown(table()), markdown(table(), spread="interval")
    assert "**97.13** ± 0.15" in sd
    assert "Mean ± standard deviation over n = 3 runs an arm (seeds 0–2)." in sd
    assert "**97.13** ± 0.38" in interval  # 4.303 / sqrt(3) deviations
    assert "Mean ± half the width of the 95 % t interval over n = 3 runs" in interval
    with pytest.raises(ValueError, match="sd or interval, got 'se'"):
        markdown(table(), spread="se")


def test_the_caption_says_what_a_reader_must_know():
    said = caption(table())
    for part in (
        "Ablation norm: norm varies",
        "(data digits, optimizer sgd, 20 epochs)",
        "n = 3 runs an arm (seeds 0–2)",
        "of the weights after the last update, on the test split",
        "arm minus batch, with its 95 % t interval; p: paired t test, after Holm for 2 comparisons",
        "Bold: arms that may be the best",
    ):
        assert part in said
    assert "CAUTION" not in said


def test_single_runs_claim_nothing():
    alone = table(n=1)
    text = markdown(alone)
    assert "±" not in text
    assert "difference" not in text
    assert "**" not in text
    assert "Single runs, n = 1 run an arm (seed 0): they say nothing about the spread" in text


def test_runs_that_are_not_in_the_means_are_named():
    given = {
        "batch": [Record(id="0", status="done", seed=0, metrics={"test/acc": 0.9}), None],
        "none": [Record(id=s, status=s, seed=1) for s in ("diverged", "failed", "running")],
    }
    given["none"].append(Record(id="4", status="done", seed=4, metrics={"test/acc": float("nan")}))
    notes = footnotes(aggregate("norm", given, ["test/acc"]))
    assert notes == [
        "Not in the means of batch: 1 not trained yet, of 2 runs.",
        "Not in the means of none: 1 diverged, 1 failed, 1 not finished yet, of 4 runs.",
        "Without a finite test accuracy (%): 1 of the 1 finished runs of none.",
    ]


def test_mixing_leaves_a_trace():
    runs = [Record(id=b, status="done", comparable={"budget": b}, metrics={"test/acc": 0.5}) for b in ("10", "20")]
    mixed = aggregate("x", {"a": runs[:1], "b": runs[1:]}, ["test/acc"], mix=["budget"])
    assert "CAUTION: the runs differ in budget." in markdown(mixed)


def test_csv_is_tidy_and_exact():
    aggregated = table()
    lines = list(csv.DictReader(io.StringIO(csv_text(aggregated))))
    assert [(line["arm"], line["metric"]) for line in lines[:5]] == [
        *(("batch", m) for m in ("test/acc", "test/loss", "ms_per_update", "parameters")),
        ("none", "test/acc"),
    ]
    cell = aggregated.rows[2].cells["test/acc"]
    line = lines[8]
    assert float(line["mean"]) == cell.mean.mean
    assert float(line["difference_low"]) == cell.difference.low
    assert float(line["p_holm"]) == cell.p_holm
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
    assert hostile.count("\n") == usual.count("\n")
    ours = r"\\(begin|end)\{\w+\}|\\(centering|toprule|midrule|bottomrule|par\b|smallskip)"
    assert re.findall(ours, hostile) == re.findall(ours, usual)
    # Take out what prints one character; nothing that steers LaTeX may be left in the rows.
    body = hostile[hostile.index("\\midrule") + 8 : hostile.index("\\bottomrule")]
    printed = (
        r"\\[%&#_{}$]|\\text(backslash|asciitilde|asciicircum|asciigrave|less|greater|bar|endash)\{\}|\$\\?[a-zA-Z-]+\$"
        r"|\{[\[\]*]\}|\{\\char34\}|\\textbf\{([^{}]*)\}|-\{\}(?=-)"
    )
    rest = re.sub(printed, "", body)
    lines = [line for line in rest.split("\n") if line.strip()]
    assert all(line.endswith(r"\\") and line.count("&") == 7 for line in lines)
    assert not re.search(r"[%#_{}$~^\[\]*]", rest)
    assert not re.search(r"\\", "".join(line[:-2] for line in lines))
    assert "--" not in rest


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_gives_hostile_names_back(name):
    lines = list(csv.DictReader(io.StringIO(csv_text(table(("batch", name))), newline="")))
    assert {line["arm"] for line in lines} == {"batch", name}


def test_names_stay_legible():
    text = markdown(table(("batch_renorm", "lr=0.1, norm=batch+weight", "β=0.9")))
    assert "| batch_renorm " in text
    assert "| lr=0.1, norm=batch+weight " in text
    assert r"batch\_renorm &" in latex(table(("batch_renorm",)))
    assert r"$\beta$=0.9" in latex(table(("batch", "β=0.9")))


def test_a_hostile_table_name_stays_out_of_the_label():
    renamed = table()
    renamed.name = "x}\\input{y}"
    assert r"\label{tab:x--input-y-}" in latex(renamed)
    assert r"\input" not in latex(renamed)


def test_tables_are_quick_and_import_neither_torch_nor_pandas():
    script = (
        "import sys\n"
        "from paribus.report.aggregate import aggregate\n"
        "from paribus.report.table import FORMATS\n"
        "from paribus.store.record import Record\n"
        "run = lambda a, s: Record(id=a + str(s), status='done', seed=s, metrics={'test/acc': s / 10})\n"
        "arms = {a: [run(a, s) for s in range(3)] for a in 'ab'}\n"
        "[form(aggregate('x', arms, ['test/acc'])) for form in FORMATS.values()]\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'scipy.stats', 'pytorch_lightning', 'hydra', 'wandb'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert list(FORMATS) == ["markdown", "latex", "csv"]

"""Tables in a terminal: every line fits, what does not fit is named, and no sign of Markdown or HTML is left."""

from __future__ import annotations

import pytest
from shipped_results import RECORDS, shipped

from paribus.notes.claimed import claimed
from paribus.notes.scoreboard import sheets as of_sections
from paribus.report.tables.sheet import Column, Entry, Sheet
from paribus.report.tables.source import Options, sheets
from paribus.report.tables.terminal import terminal

MADE = Sheet(
    "norms [fashion]",
    "norms",
    [
        Column("norm", words=True, rank=0),
        Column("test accuracy (%) ↑", rank=0),
        Column("difference from none (points)", rank=1),
        Column("p (Holm)", rank=2),
        Column("test loss ↓"),
        Column("n", rank=1),
    ],
    [
        [Entry("batch", marks=(1,)), Entry("98.72", "± 0.46", bold=True), Entry("+1.08", "(+0.46 to +1.71)"),
         Entry("0.003"), Entry("0.0520", "± 0.0025"), Entry("10")],
        [Entry("a_b<c>*\x1b[31m"), Entry("7.6", "± 1.2"), Entry("baseline"), Entry(""), Entry("1.2", "± 0.1"),
         Entry("9")],
    ],
    "A caption that is longer than the narrowest of the terminals that it is shown in here, and goes on below.",
    ["Diverged: 1 of 10."],
)  # fmt: skip


@pytest.mark.parametrize(
    ("width", "gone"),
    [(45, ("difference from none (points)", "p (Holm)", "test loss ↓", "n")), (64, ("p (Holm)", "test loss ↓")),
     (80, ("test loss ↓",)), (120, ())],
)  # fmt: skip
def test_columns_that_matter_least_are_left_out_and_named(width, gone):
    text = terminal(MADE, width=width)
    assert max(map(len, text.split("\n"))) <= width
    said = " ".join(text.split())
    assert ("Left out" in said) == bool(gone)
    assert f": {', '.join(gone)}. All" in said or not gone
    assert "98.72 ± 0.46" in text
    assert ("+1.08 (+0.46 to +1.71)" in text) == (width > 60)


def test_numbers_stand_at_their_point_and_names_are_plain():
    text = terminal(MADE, heading=True, width=120)
    lines = text.split("\n")
    assert lines[0] == "norms [fashion]"
    rows = [line for line in lines if "±" in line]
    assert rows[0].index(".") == rows[1].index(".")
    assert "batch¹" in rows[0]
    assert r"a_b<c>*\x1b[31m" in rows[1]
    assert "¹ Diverged: 1 of 10." in lines
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [80, pytest.param(120, marks=pytest.mark.slow)])
def test_all_shipped_tables_fit(width):
    """And show the arm, its metric and the difference, or the claim, its effect and its verdict."""
    for plans in shipped().plans.values():
        for sheet in sheets(plans, shipped().record, Options((plans[0].metric,)), lambda id: {}):
            text = terminal(sheet, heading=True, width=width)
            assert max(map(len, text.split("\n"))) <= width, sheet.title
            assert not {"**", "&lt;", "\\_", "\\["} & {text[k : k + n] for n in (2, 4) for k in range(len(text))}
            for row in sheet.rows:
                for entry, column in zip(row, sheet.columns, strict=True):
                    if column.rank == 0:
                        assert all(word in text for word in entry.text.split()), entry.text


@pytest.mark.slow
def test_all_claims_fit():
    found = claimed(("notes",), (), False, str(RECORDS))
    for sheet in of_sections(found):
        assert max(map(len, terminal(sheet, heading=True, width=80).split("\n"))) <= 80


def test_what_is_always_shown_is_never_cut():
    sheet = Sheet(
        "t",
        "t",
        [Column(f"level {k}", rank=0) for k in range(9)],
        [[Entry(f"9{k}.25", "± 0.5") for k in range(9)]],
        "c",
    )
    text = terminal(sheet, width=60)
    assert all(f"9{k}.25 ± 0.5" in text for k in range(9))
    assert "Left out" not in text

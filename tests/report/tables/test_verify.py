"""A generated table in a paper is checked number by number."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from paribus.evidence.arms import ReportError
from paribus.report.tables.source import Options, plan_of, sheets
from paribus.report.tables.table import document
from paribus.report.tables.verify import verify
from paribus.store.record import Record

ACCURACY = {"batch": 0.971, "none": 0.942, "layer_norm": 0.9713}


@pytest.fixture
def records() -> dict[str, Record]:
    return {
        f"{arm}{s}": Record(
            f"{arm}{s}",
            "done",
            seed=s,
            parameters=23946,
            choices={"norm": arm},
            metrics={"test/acc": value + 0.002 * ((3 * s + len(arm)) % 5), "test/loss": 0.1 + s / 90},
        )
        for arm, value in ACCURACY.items()
        for s in range(4)
    }


def paper(records, form: str) -> str:
    """A generated table with text around it."""
    arms = {arm: [records[f"{arm}{s}"] for s in range(4)] for arm in ACCURACY}
    arms["none"].append(None)
    plan = plan_of("norms", arms, "test/acc")
    table = document(sheets([plan], records.get, Options(("test/acc", "test/loss", "parameters"))), form, width="full")
    return f"In Section 3 we trained 12 runs.\n\n{table}\nTable 1 shows 97.1 %.\n"


FORMS = ["latex", "markdown", "html"]
forms = pytest.mark.parametrize("form", FORMS)


def drift(text, records) -> list[str]:
    return [line for each in verify(text, records.get) for line in each.drift]


@forms
def test_an_untouched_paper_agrees(records, form):
    [found] = verify(paper(records, form), records.get)
    assert (found.drift, found.notices, found.title) == ([], [], "norms")
    assert found.numbers > 35


def test_markdown_of_before_which_named_every_sign_agrees(records):
    arms = {f"{arm} & > 5": [records[f"{arm}{s}"] for s in range(4)] for arm in ACCURACY}
    new = document(sheets([plan_of("norms", arms, "test/acc")], records.get, Options(("test/acc",))), "markdown")
    begin, end = new.index("\n| norm"), new.rindex("\n<!--")
    old = new[begin:end].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert "batch & > 5 " in new
    assert "batch &amp; &gt; 5 " in old
    [found] = verify(new[:begin] + old + new[end:], records.get)
    assert (found.drift, found.notices) == ([], [])


@forms
def test_every_digit_counts(records, form):
    """Change each digit of the rows in turn: each change is found, and named with what it says and should say."""
    text = paper(records, form)
    begin, end = {
        "latex": ("\\midrule", "\\bottomrule"), "markdown": ("| batch", "\n\n"), "html": ("<tbody>", "</tbody>"),
    }[form]  # fmt: skip
    start = text.index(begin)
    stop = text.index(end, start)
    markup = [m.span() for m in re.finditer(r"<sup>.*?</sup>|<[^>]*>|\\text\w+\{[^}]*\}|[¹²³]", text[start:stop])]
    digits = [m.start() for m in re.finditer(r"[0-9]", text[start:stop])]
    digits = [k for k in digits if not any(a <= k < b for a, b in markup)]
    assert len(digits) > 90
    for k in digits[::3]:
        at = start + k
        other = str((int(text[at]) + 1) % 10)
        found = drift(text[:at] + other + text[at + 1 :], records)
        assert len(found) == 1, text[at - 20 : at + 20]
        assert re.search(r"row '.+', column '.+': says .*\d.*, the records say .*\d", found[0])


@forms
def test_the_message_says_which_number(records, form):
    text = paper(records, form)
    shown = re.search(r"97\.\d\d", text).group()
    [message] = drift(text.replace(shown, "98.99", 1), records)
    assert message == f"row 'batch', column 'test accuracy (%) ↑': says 98.99, the records say {shown}"


@forms
def test_signs_and_bold_count(records, form):
    text = paper(records, form)
    sign = {"latex": "-2.", "markdown": "−2.", "html": "−2."}[form]
    place = text.index(sign)
    assert drift(text[:place] + text[place + 1 :], records)
    mark = {"latex": "\\bfseries ", "markdown": "**", "html": "<strong>"}[form]
    found = drift(text.replace(mark, "" if form != "html" else "<span>", 2 if form == "markdown" else 1), records)
    assert ["is not bold" in line for line in found] == [True]


@forms
def test_a_number_in_the_caption_counts_and_new_words_are_a_notice(records, form):
    text = paper(records, form)
    assert drift(text.replace("n = 4 runs", "n = 40 runs"), records)[0].startswith("caption or note: says 40")
    [found] = verify(text.replace("everything else being equal", "all else equal"), records.get)
    assert found.drift == []
    assert "reworded, so its numbers are not checked" in found.notices[0]


@forms
def test_records_that_changed_are_drift(records, form):
    text = paper(records, form)
    records["none2"] = replace(records["none2"], metrics={"test/acc": 0.99, "test/loss": 0.1})
    found = drift(text, records)
    assert any("row 'none', column 'test accuracy (%) ↑'" in line for line in found)


@forms
def test_records_that_are_gone_are_named(records, form):
    text = paper(records, form)
    del records["none2"], records["batch0"]
    assert drift(text, records) == ["2 of its runs have no record: batch0 (batch), none2 (none)"]


@forms
def test_tables_may_move_and_rows_be_reordered_or_renamed(records, form):
    text = paper(records, form)
    lines = text.split("\n")
    first = next(k for k, line in enumerate(lines) if re.match(r"(\| |\s+|<tr><td.*?>(<span>)?)batch\b", line))
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    moved = "\n".join(lines).replace("In Section 3", "\n\n\n# Elsewhere\n\n")
    assert drift(moved, records) == []
    renamed = re.sub(r"batch( &| +\||</)", r"Batch Norm\1", text)
    assert renamed != text
    assert drift(renamed, records) == []


@forms
def test_rows_and_columns_that_are_taken_or_added_are_named(records, form):
    text = paper(records, form)
    row = next(line for line in text.split("\n") if re.match(r"(\| |\s+|<tr><td.*?>(<span>)?)none", line))
    [message] = drift(text.replace(row + "\n", ""), records)
    assert message == "row 'none' is missing"
    assert any("is not in the table" in line for line in drift(text.replace(row, f"{row}\n{row}"), records))
    cut = {"latex": " & 23946", "markdown": " 23,946 |", "html": "<strong>x"}[form]
    if cut in text:
        assert any("columns, but the records give" in line for line in drift(text.replace(cut, "", 1), records))


def test_a_latex_row_may_be_laid_out_anew(records):
    text = paper(records, "latex").replace(" & ", "\n      & ").replace(r" \\", " \\\\[2pt]")
    assert drift(text, records) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: re.sub("(?m)^% paribus-table-end.*$", "", t), "line 3 begins and does not end"),
        (lambda t: re.sub("(?m)^% paribus-table$", "", t), "ends and has no beginning"),
        (lambda t: re.sub("(?m)^(% paribus-table-end).*$", r"\1 {broken", t), "can't be read"),
        (lambda t: re.sub("(?m)^(% paribus-table-end).*$", r"\1 [1]", t), "can't be read"),
        (lambda t: t.replace("% paribus-table\n", "% paribus-table\n% paribus-table\n"), "before the next"),
    ],
)
def test_damaged_comments_are_named(records, change, message):
    with pytest.raises(ReportError, match=f"{message}.*write the table again|{message}"):
        verify(change(paper(records, "latex")), records.get)


def test_a_paper_without_tables_has_nothing_to_check(records):
    assert verify("No table here.", records.get) == []


@pytest.mark.parametrize("name", ["-->", "--> <script>", "% }\n\\end{table}", "a -- b", "é中"])
@forms
def test_hostile_names_do_not_end_the_comment(records, form, name):
    arms = {name: [records[f"batch{s}"] for s in range(4)], "none": [records[f"none{s}"] for s in range(4)]}
    text = document(sheets([plan_of(name, arms, "test/acc")], records.get, Options(("test/acc",))), form)
    comments = [line for line in text.split("\n") if "paribus-table" in line]
    assert len(comments) == 2
    assert all(line.isascii() for line in comments)
    if form != "latex":
        assert [line.count("-->") for line in comments] == [1, 1]
        assert "--" not in comments[1][4:-3]
    [found] = verify(text, records.get)
    assert found.drift == []

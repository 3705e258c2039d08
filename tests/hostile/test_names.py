"""Names of arms, choices and metrics that a terminal, a spreadsheet, LaTeX, Markdown or a browser would obey."""

import csv
import json

import pytest

NAMES = {
    "a formula": "=cmd|' /C calc'!A0",
    "a sum": "+1+cmd|x!A0",
    "a difference": "-2+3+cmd|x!A0",
    "a function": "@SUM(1+1)*cmd|x!A0",
    "a formula behind a tab": "\t=1+1",
    "a formula behind a line": "\r=1+1",
    "a clear screen": "\x1b[2J\x1b[H",
    "a title": "\x1b]0;owned\x07",
    "an eight-bit escape": "\x9b2J",
    "a backspace": "good\b\b\b\bevil",
    "another direction": "\u202egnp.exe",
    "two lines": "one\ntwo: done",
    "HTML": "<script>fetch('http://evil.example')</script>",
    "an attribute": '" onmouseover="alert(1)',
    "the end of a comment": "--> <img src=x onerror=alert(1)> <!--",
    "the end of a script": "</script><script>alert(1)//",
    "a file for LaTeX": "\\input{secret.yaml}",
    "a command for LaTeX": "\\immediate\\write18{touch executed}",
    "a comment of ours": "% paribus-table-end {}",
    "a link": "[x](javascript:alert(1))",
    "a template": "{{7*7}}${7*7}",
}


def laid_out(run, record, name):
    """Two records, one of whose arms, choices, metrics and commands has that name."""
    for number, value in enumerate((name, "plain")):
        id = f"{number:016d}"
        folder = run.parent / id
        folder.mkdir()
        content = {**record, "id": id, "arm": value, "ablation": name, "choices": {"norm": value, name: value}}
        content["failure"] = {"type": name, "message": name}
        content["metrics"] = {**record["metrics"], name: 0.5}
        content["provenance"] = {**record["provenance"], "command": name}
        content.pop("checksums", None)
        (folder / "record.json").write_text(json.dumps(content))
        (folder / "history.csv").write_text((run / "history.csv").read_text())


@pytest.mark.parametrize("case", NAMES)
def test_a_name_is_shown_and_not_obeyed(attack, tmp_path, trained, record, case):
    name = NAMES[case]
    laid_out(trained, record, name)
    sweep = tmp_path / "outputs" / "sweeps" / "now"
    sweep.mkdir(parents=True)
    arms = {name: [f"{0:016d}"], "plain": [f"{1:016d}"]}
    (sweep / "sweep.json").write_text(json.dumps({"plans": [{"name": name, "keys": [], "arms": arms}]}))
    assert "3 runs" in attack("runs", code=0).out
    for form in ("markdown", "latex", "html", "csv"):
        attack("table", "--format", form, code=0)
    attack("table", "--format", "latex", "-o", "outputs/table.tex", code=0)
    attack("verify", "outputs/table.tex", code=0)
    attack("report", "-o", "outputs/report.html", code=0)
    page = (tmp_path / "outputs" / "report.html").read_text()
    assert not any(text in page for text in ("<script>fetch", "<img src=x", '" onmouseover="alert'))
    attack("export", "-o", "outputs/runs.csv", code=0)
    with open(tmp_path / "outputs" / "runs.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.lstrip()[:1] in ("=", "@", "+", "-") and not number(cell)]


def number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_numbers_stay_numbers():
    from paribus.report.escape import spreadsheet

    for text in ("-0.5", "+1", "1e-5", "-1e+5", "-inf", "nan", "+1.2 %", "-1,234.5", ""):
        assert spreadsheet(text) == text
    assert spreadsheet(-0.5) == -0.5
    assert spreadsheet("-x") == "'-x"


SWEEPS = {
    "not JSON": "{",
    "no plans": "{}",
    "a list": "[]",
    "plans without arms": '{"plans": [{"name": "x"}]}',
    "arms that climb": '{"plans": [{"name": "x", "keys": [], "arms": {"a": ["../../secret"]}}]}',
    "arms of numbers": '{"plans": [{"name": "x", "keys": [], "arms": {"a": [1]}}]}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", SWEEPS)
def test_a_sweep_that_is_none(attack, tmp_path, trained, case):
    folder = tmp_path / "outputs" / "sweeps" / "now"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(SWEEPS[case])
    for command in ("table", "report"):
        assert "sweep.json" in attack(command, code=2).err


MEMBERS = {
    "not JSON": "{",
    "no members": "{}",
    "a number": '{"members": [5]}',
    "half of one": '{"members": [{"config": {"data": 5}, "choices": {}, "overrides": []}]}',
    "a command": '{"members": [{"config": {"_target_": "os.system"}, "choices": {}, "overrides": []}]}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", MEMBERS)
def test_a_list_of_members_that_is_none(attack, tmp_path, case):
    (tmp_path / "members.json").write_text(MEMBERS[case])
    attack("train", "members=members.json", code=2)

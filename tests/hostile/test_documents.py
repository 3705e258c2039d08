"""Papers whose comments somebody else has written: `paribus verify` recomputes, and does nothing else."""

import json

import pytest

SOURCE = {
    "paribus": "1",
    "kind": "arms",
    "metrics": ["test/acc"],
    "columns": [],
    "spread": "sd",
    "mix": [],
    "baseline": None,
    "sort": False,
    "level": 0.95,
    "grid": [],
    "plans": [
        {
            "name": "x",
            "metric": "test/acc",
            "arms": {"a": "0" * 16},
            "absent": "",
            "levels": {},
            "tuned": {},
            "excluded": [],
            "invalid": [],
            "complete": True,
            "ablation": None,
        }
    ],
}
PLAN = SOURCE["plans"][0]


def with_plan(**changes):
    return {**SOURCE, "plans": [{key: value for key, value in {**PLAN, **changes}.items() if value != "GONE"}]}


COMMENTS = {
    "no absent": with_plan(absent="GONE"),
    "no arms": with_plan(arms="GONE"),
    "no name": with_plan(name="GONE"),
    "an id that climbs": with_plan(arms={"a": "../../secret"}),
    "an absolute id": with_plan(arms={"a": "/etc/passwd"}),
    "escapes": with_plan(name="\x1b[2J", arms={"\x1b]0;x\x07": "0" * 16}),
    "arms that are a list": with_plan(arms=["a"]),
    "ids that are numbers": with_plan(arms={"a": 5}),
    "absent that is a number": with_plan(absent=5),
    "tuning of numbers": with_plan(tuned={"a": [1, 2]}),
    "tuning without points": with_plan(tuned={"a": [[]]}),
    "an ablation that is text": with_plan(ablation="x", absent="0" * 16),
    "an ablation without seeds": with_plan(ablation={"hypotheses": []}, absent="0" * 16),
    "a plan that is a number": {**SOURCE, "plans": [5]},
    "no plan": {**SOURCE, "plans": []},
    "another kind": {**SOURCE, "kind": "os.system"},
    "a kind that is a list": {**with_plan(absent="0" * 16), "kind": ["arms"]},
    "metrics that are numbers": {**with_plan(absent="0" * 16), "metrics": [1]},
    "no metrics": {**with_plan(absent="0" * 16), "metrics": []},
    "a level of none": {**with_plan(absent="0" * 16), "level": float("nan")},
    "a spread of none": {**with_plan(absent="0" * 16), "spread": 5},
    "a baseline that is a list": {**with_plan(absent="0" * 16), "baseline": [1]},
}
TEXTS = {
    "no JSON": "{",
    "a number": "5",
    "deep": "[" * 50_000,
    "a deep plan": json.dumps({"plans": json.loads("[" * 300 + "]" * 300)}),
    "half a character": '{"plans": [], "kind": "\\ud800"}',
    "a number of 5,000 digits": '{"plans": [' + "1" * 5000 + "]}",
}


@pytest.mark.parametrize("case", [*COMMENTS, *TEXTS])
@pytest.mark.parametrize("form", ["tex", "md"])
def test_a_comment_that_is_not_ours(attack, tmp_path, case, form):
    begin, end = ("% ", "") if form == "tex" else ("<!-- ", " -->")
    comment = TEXTS[case] if case in TEXTS else json.dumps(COMMENTS[case])
    text = f"{begin}paribus-table{end}\n1 & 2 \\\\\n{begin}paribus-table-end {comment}{end}\n"
    (tmp_path / f"paper.{form}").write_text(text)
    attack("verify", f"paper.{form}", code=2)


PAPERS = {
    "itself": "\\input{paper}",
    "a device": "\\input{/dev/zero}\\input{/dev/stdin}",
    "a name of 5,000 letters": "\\input{" + "x" * 5000 + "}",
    "NUL": "\\input{a\0b}",
    "a folder above": "\\include{../../../../etc/passwd}",
    "nothing": "",
    "an end without a beginning": "% paribus-table-end {}",
    "a beginning without an end": "% paribus-table",
}


@pytest.mark.parametrize("case", PAPERS)
def test_a_paper_that_leads_astray(attack, tmp_path, case):
    (tmp_path / "paper.tex").write_text(PAPERS[case])
    attack("verify", "paper.tex", code=2)


def test_a_chain_of_files(attack, tmp_path):
    for number in range(1200):
        (tmp_path / f"p{number}.tex").write_text(f"\\input{{p{number + 1}}}")
    attack("verify", "p0.tex", code=2)


@pytest.mark.parametrize("name", ["nowhere.tex", "/dev/zero", "..", "x" * 5000])
def test_a_paper_that_is_none(attack, name):
    attack("verify", name, code=2)

"""The page as a file: what it says, that it is whole, small and quick, and that no name in it can do anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_ablations import Made as Planned
from made_studies import made, made_grid

from paribus.evidence.arms import ReportError
from paribus.report.page import charts
from paribus.report.page.render import Live, page
from paribus.report.study import need_runs, study
from paribus.report.verdicts import claims
from paribus.store.record import Record

COMMAND = "paribus train -m ablation=batch"
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% for x in y %}",
    "<!-- <script>",
    "\u202ertl\u0000\u2028nul",
    "javascript:alert(1)",
    "x" * 300,
    "&lt;b&gt;",
    "",
)


class Parsed(HTMLParser):
    """Elements with their attributes, ids, links and the text of scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        last = next((tag for tag, _ in reversed(self.elements)), "")
        (self.scripts if last == "script" and self.cdata_elem == "script" else self.text).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self):
        return json.loads(self.scripts[0])


def rendered(made, live: Live | None = None) -> str:
    return page("batch", made.studies, claims(made.plans, made.records.get), COMMAND, live)


def test_verdicts_stand_on_top_in_plain_words(make):
    text = " ".join("".join(Parsed(rendered(make())).text).split())
    assert text.index("◐ CONDITIONAL") < text.index("Click a number to see its runs")
    assert "H1 The second is better" in text
    assert "It depends on tuning: SUPPORTED in F; REVERSED in T (heterogeneity p < 0.001)" in text
    assert re.search(r"test accuracy of b8 minus b32: \+2\.\d+ points \(\+1\.\d+ to \+2\.\d+\), p [=<] 0\.\d+", text)
    assert "out of memory" in text
    assert COMMAND in text


def test_the_words_of_verdicts_are_explained_once_for_all_regimes():
    plain = made()
    for plan in plain.plans:
        plan.ablation = replace(plan.ablation, hypotheses=())
    plain.gather()
    for text in (rendered(plain), rendered(made())):
        assert text.count("REVERSED: the upper bound is below zero") == 1
    assert rendered(plain).count("Which arms are better than b32?") == 2, "a card for each regime"


def test_every_link_of_the_page_leads_somewhere_in_it(make):
    made = make()
    parsed = Parsed(rendered(made))
    ids = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    links = [attributes["href"] for attributes in parsed.all("a")]
    assert all(link.startswith("#") for link in links)
    runs = {link.removeprefix("#run-") for link in links if link.startswith("#run-")}
    assert runs == set(made.records) == set(parsed.data["records"]["runs"])
    assert {link[1:] for link in links if not link.startswith("#run-")} <= ids
    assert sum(link.startswith("#runs-") for link in links) >= 2 * 3 * 4  # regimes, arms, numbers of a row


def test_nothing_is_fetched_and_only_its_own_script_may_run(make):
    text = rendered(make())
    parsed = Parsed(text)
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"']?\s*(https?:)?//", text)
    assert "url(" not in re.sub(r"url\(#\$\{", "", text)
    assert [attributes.get("type") for attributes in parsed.all("script")] == ["application/json", None]
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(parsed.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy


def test_numbers_of_the_page_are_those_of_the_aggregate(make):
    made = make()
    data = Parsed(rendered(made)).data
    for study_, shown in zip(made.studies, data["studies"], strict=True):
        for k, row in enumerate(study_.table.rows):
            seeds = shown["seeds"]["series"][k]
            assert seeds["x"] == pytest.approx([100 * v for v in row.cells["test/acc"].values.values()], rel=1e-3)
            assert seeds["ids"] == [run.id for run in row.runs]
        curves = study_.curves()["b8"]
        mean = shown["learning"]["means"]["val/acc"][1]
        assert mean["y"] == pytest.approx(100 * np.mean([run["val/acc"] for run in curves], axis=0), rel=1e-3)
        assert mean["step"] == curves[0]["step"]
    tuned = data["studies"][1]["sensitivity"]
    assert tuned["series"][0]["ring"] == 0.1
    assert tuned["series"][1]["lost"] == [[1.0, 2, 2]]
    assert data["studies"][0]["sensitivity"] is None


def test_times_to_targets_have_a_table_and_steps(make):
    made = make()
    parsed = Parsed(rendered(made))
    text = " ".join("".join(parsed.text).split())
    assert text.count("Updates to a validation accuracy of 90 % or more") == 2  # regimes
    assert "Times to targets over all tasks" in text
    assert "Share of 2 tasks (a target in a regime or on a data set)" in text
    [chart] = parsed.data["studies"][0]["speed"]
    curve = made.studies[0].times[0].arms["b8"].curve
    series = chart["series"][1]
    assert series["x"] == pytest.approx([0, *(t for t in curve.times for _ in range(2)), 456, 456])
    ends = [0.0, *(1 - share for share in curve.share)]
    assert series["y"] == pytest.approx([*(y for y in ends for _ in range(2)), ends[-1]], abs=1e-3)
    assert parsed.data["profile"][0]["tasks"] == 2
    for study_ in made.studies:
        study_.plan.ablation.targets.clear()
    made.gather()
    parsed = Parsed(rendered(made))
    assert parsed.data["profile"] == [None]
    assert "to a validation accuracy" not in "".join(parsed.text)


@pytest.mark.parametrize("live", [None, Live(1, 2, "1 of 2 <i>runs</i>", "v")])
def test_hostile_names_are_text_and_nothing_else(make, live):
    made = make(arms=HOSTILE, seeds=3, epochs=3, name="<script>alert(2)</script>")
    ordinary = Parsed(rendered(make(arms=[f"arm{k}" for k in range(len(HOSTILE))], seeds=3, epochs=3), live))
    text = page("<script>alert(2)</script>", made.studies, claims(made.plans, made.records.get), "a; <b>rm</b>", live)
    parsed = Parsed(text)
    # The same elements with the same attributes: names added none but places where a line may break.
    found, expected = ([(tag, sorted(a)) for tag, a in each.elements if tag != "wbr"] for each in (parsed, ordinary))
    assert found == expected
    assert not any(a for tag, a in parsed.elements if tag == "wbr")
    assert not [a for _, a in parsed.elements if any(key.startswith("on") for key in a)]
    assert parsed.data["arms"][0] == HOSTILE[0]
    assert "<" not in parsed.scripts[0]
    assert "\u202e" not in text
    assert "49" not in "".join(parsed.data["arms"])


def test_five_hundred_runs_are_small_and_quick(make):
    arms = [f"arm {k}" for k in range(50)]
    made = make(arms=arms, seeds=10, epochs=200, regimes=("F",))
    started = time.process_time()
    text = rendered(made)
    assert time.process_time() - started < 10
    assert len(text.encode()) < 3_000_000
    learning = Parsed(text).data["studies"][0]["learning"]
    assert learning["cut"]["recorded"] == 200
    longest = max(len(run["epoch"]) for run in learning["runs"])
    assert learning["cut"]["runs"] / 2 < longest <= learning["cut"]["runs"] < 200
    assert len(learning["runs"]) == 498  # one failed, one is missing


def test_a_page_needs_no_plotting_library():
    """All that writes it is imported at the top of the module: `docs/internals/page.md`."""
    code = "import sys, paribus.report.page.render; print(sorted({'matplotlib', 'pandas', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_the_same_records_give_the_same_page(make):
    assert rendered(make()) == rendered(make())


def test_a_grid_shows_which_factor_matters_as_a_table_a_heat_map_and_lines():
    found = made_grid()
    parsed = Parsed(page("grid", [found], [], COMMAND))
    text = " ".join("".join(parsed.text).split())
    assert "Which factor matters" in text
    assert re.search(r"Lines are parallel where factors do not interact \(p [=<] 0\.00\d, Holm\)", text)
    heat = [a["style"] for a in parsed.all("td") if "style" in a]
    assert len(heat) == 6
    assert {"--heat:0%", "--heat:100%"} <= set(heat)
    assert [a["style"] for a in parsed.all("td") if a.get("class") == "best"] == ["--heat:100%"]
    chart = parsed.data["studies"][0]["interaction"]
    assert [line["name"] for line in chart["series"]] == ["norm=batch", "norm=none"]
    means = found.grid.scores.mean(0).reshape(2, 3)
    for line, own in zip(chart["series"], means, strict=True):
        assert line["y"] == pytest.approx(100 * own, rel=1e-3)
    assert not made().studies[0].grid.startswith("no run")
    other = Parsed(rendered(made()))
    assert "Which factor matters" not in "".join(other.text)
    assert other.data["studies"][0]["interaction"] is None


def test_arms_are_ranked_over_many_regimes(make):
    shown = " ".join("".join(Parsed(rendered(make(regimes=("F", "T", "a", "b", "c", "d"), epochs=2))).text).split())
    assert "Ranks over the regimes" in shown
    assert "which are taken as a sample" in shown
    assert "Ranks over the regimes" not in rendered(make(epochs=2))


def test_hostile_levels_of_a_grid_are_text_and_nothing_else():
    text = page("grid", [made_grid(HOSTILE[:-1], ("a", "b"))], [], COMMAND)
    names = [f"level {k}" for k in range(len(HOSTILE) - 1)]
    ordinary = Parsed(page("grid", [made_grid(names, ("a", "b"))], [], COMMAND))
    found, expected = (
        [(tag, sorted(a)) for tag, a in each.elements if tag != "wbr"] for each in (Parsed(text), ordinary)
    )
    assert found == expected


def test_a_plain_sweep_has_no_verdict_and_a_page():
    records = {
        f"{a}{s}": Record(f"{a}{s}", "done", seed=s, metrics={"test/acc": 0.9}, classes=2) for a in "ab" for s in (0, 1)
    }
    arms = {a: [records[f"{a}{s}"] for s in (0, 1)] for a in "ab"}
    found = study("norm", arms, ["test/acc"], None, records.get, lambda id: {})
    text = page("norm", [found], [], COMMAND)
    assert "A plain sweep claims nothing" in text
    assert COMMAND not in text


def test_nothing_done_yet_is_refused_for_a_file_and_shown_while_it_runs(make):
    made = make()
    made.records.clear()
    empty = study("batch", {"a": [None], "b": [None]}, ["test/acc"], made.plans[0], made.records.get, lambda id: {})
    with pytest.raises(ReportError, match=r"batch has no finished run yet. Train it: paribus train -m ablation="):
        need_runs([empty])
    text = page("batch", [empty], claims(made.plans[:1], made.records.get), COMMAND, Live(0, 10, "0 of 10", "v"))
    assert "No run of batch is done yet" in text
    policy = next(a["content"] for a in Parsed(text).all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "connect-src 'self'" in policy  # it asks its own server for news


def test_the_question_is_the_headline_and_regimes_are_described_by_their_plan(make):
    made = make(regimes=("F", "T"))
    asked = [replace(each, claim="Do small batches help?") for each in (study.ablation for study in made.studies)]
    asked[1] = replace(asked[1], regime="usual", sets={"optimizer.lr": 0.1}, tune={})
    studies = [
        replace(study, plan=replace(study.plan, ablation=ablation))
        for study, ablation in zip(made.studies, asked, strict=True)
    ]
    text = page("batch", studies, [], "paribus train -m ablation=batch")
    assert "<h1>Do small batches\u00a0help?</h1>" in text
    assert '<p class="kicker">Ablation batch · one factor</p>' in text
    assert "<small>no arm is tuned</small>" in text
    assert "<small>no arm is tuned, optimizer.lr=0.1</small>" in text
    asked[0] = replace(asked[0], about="as everybody does it", claim="")
    studies[0] = replace(studies[0], plan=replace(studies[0].plan, ablation=asked[0]))
    text = page("batch", studies, [], "paribus train -m ablation=batch")
    assert "<h1>batch</h1>" in text
    assert "<small>as everybody does it</small>" in text


def test_intervals_of_shares_are_drawn_between_0_and_100_percent(make):
    result = make(seeds=3)
    for record in result.records.values():
        record.metrics["test/acc"] = 0.5 + 0.25 * ((record.seed or 0) % 3)  # 50, 75, 100 %
    found = []
    for plan in result.plans:
        arms = {arm: [result.records.get(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
        found.append(study(plan.name, arms, ["test/acc"], plan, result.records.get, lambda id: {}))
    chart = charts.regimes(found, {"b32": 0, "b8": 1, "b128": 2})
    ends = [end for line in chart["series"] for side in ("low", "high") for end in line[side]]
    assert min(ends) > 0
    assert max(ends) == 100


@pytest.mark.parametrize(("sampler", "shown"), [("sobol", True), ("random", False)])
def test_trials_have_a_chart_for_each_key_and_say_who_is_ahead(sampler, shown):
    space = {"optimizer.lr": {"log": [1e-3, 1]}, "model.width": {"int": [8, 64]}}
    section = {
        "name": "t",
        "factors": {"norm": ["batch", "layer"]},
        "tune": {"trials": 8, "sampler": sampler, "space": space},
        "seeds": {"tune": 3, "report": 3},
    }
    ablation = Planned(section, lambda cell: 0.9 - 0.1 * cell.run.optimizer["lr"])
    [plan] = ablation.plans
    arms = {arm: [ablation.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    drawn = study(plan.name, arms, ["test/acc"], plan, ablation.read, lambda id: {})
    parsed = Parsed(page("t", [drawn], [], COMMAND))
    text = " ".join("".join(parsed.text).split())
    assert "Trials over model.width" in text
    assert "Trials over optimizer.lr" in text
    assert "edge of the range" in text
    assert "Expected test accuracy (%) of the best of k trials" in text
    assert ("layer and batch" in text) == shown
    assert ("of the 8 that each arm tried" in text) == shown
    assert ("Bands hold for Sobol trials only" in text) != shown
    assert len(parsed.data["studies"][0]["trials"]) == 2

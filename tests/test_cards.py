"""docs/cards: every option has a card, and what cards say is what the configuration and the optimizers are."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import scripts
import torch
import yaml
from made_studies import made
from torch import nn

from paribus.config.compose import load, resolved
from paribus.notes.pages import card
from paribus.notes.pages.literature import IDS
from paribus.notes.pages.results import claim_path
from paribus.report.packed import Shipped
from paribus.run.instantiate import instantiate
from paribus.techniques.optimizers.build import build_optimizer

ROOT = Path(__file__).parents[1]
cards = scripts.load("cards")

OPTIONS = [(group, path.stem) for group in cards.GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]
PAGES = sorted(path for path in cards.CARDS.rglob("*") if path.suffix in (".md", ".svg"))


@pytest.fixture(scope="module")
def made_pages():
    return cards.pages()


def test_every_option_has_a_card_and_every_card_an_option(made_pages):
    assert sorted((group, name) for group in cards.GROUPS for name in cards.written(group)["cards"]) == sorted(OPTIONS)
    assert sorted(made_pages) == PAGES


@pytest.mark.parametrize("path", PAGES, ids=[str(path.relative_to(cards.CARDS)) for path in PAGES])
def test_a_page_is_what_make_docs_makes_and_its_links_lead_somewhere(path, made_pages):
    text = path.read_text(encoding="utf-8")
    assert text == made_pages[path], "out of date: run `make docs`"
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link.startswith("https://") or (path.parent / link).resolve().exists(), link


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_a_config_leads_to_its_card_and_both_name_the_same_source(group, name):
    text = (ROOT / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8")
    assert text == cards.linked(text, group, name), "no line `# Card:`: run `make docs`"
    sources = " ".join(cards.written(group)["cards"][name]["sources"])
    for match in IDS.finditer(text.splitlines()[0]):
        assert match[0].rstrip(")") in sources


def test_no_word_for_an_option_is_left_over():
    for group in cards.GROUPS:
        bare = {
            key.rpartition(".")[2]
            for name in cards.written(group)["cards"]
            for key, _, comment in cards.keys((ROOT / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8"))
            if not comment
        }
        assert bare == set(cards.written(group)["options"])


COUNTED = [name for name, own in cards.written("optimizer")["cards"].items() if isinstance(own["state"], int)]


@pytest.mark.parametrize("name", COUNTED)
def test_an_optimizer_keeps_as_many_numbers_for_each_weight_as_its_card_says(name):
    network = nn.Linear(16, 32, bias=False)
    optimizer = build_optimizer(instantiate("optimizer", resolved(load([f"optimizer={name}"]))["optimizer"]), network)
    for _ in range(2):
        network(torch.randn(4, 16)).square().sum().backward()
        optimizer.step()
    kept = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    assert (
        sum(value.numel() for value in kept if value.ndim) == cards.written("optimizer")["cards"][name]["state"] * 512
    )


def test_options_are_read_with_their_defaults_and_comments():
    text = "# Head.\n_target_: a.B\nlr: 0.1    # of steps\nactivation:\n  _partial_: true\n  eps: 1.0e-05\n"
    assert cards.keys(text) == [("lr", "0.1", "of steps"), ("activation.eps", "1.0e-05", "")]


def test_results_of_an_option_are_the_arms_that_have_it_with_their_difference():
    study = made(arms=("b32", "b8", "b128"), regimes=("F",))
    shipped = Shipped({"batch": study.plans}, study.records, {})
    [row] = cards.arms("batch_size", "b8", study.plans[0], shipped)
    assert row[1].text == "b8"
    assert "to" in row[4].rest
    [base] = cards.arms("batch_size", "b32", study.plans[0], shipped)
    assert base[4].text == "baseline"
    assert "| b8 " in cards.results("batch_size", "b8", shipped)
    assert cards.results("batch_size", "b64", shipped).startswith("No shipped record")


def test_identifiers_become_links():
    said = cards.with_links("A 2018, arXiv:1706.02677; B, doi:10.1016/0041-5553(64)90137-5.")
    assert "(https://arxiv.org/abs/1706.02677)" in said
    assert "(https://doi.org/10.1016/0041-5553(64)90137-5)" in said


def test_a_card_leads_to_every_claim_about_its_option(made_pages):
    led = 0
    for file in (ROOT / "conf" / "ablation" / "notes").glob("*.yaml"):
        for each in yaml.safe_load(file.read_text(encoding="utf-8"))["ablation"].get("hypotheses", ()):
            for group in cards.GROUPS:
                ends = each["arm"].get(group), each["versus"].get(group)
                for option in {*ends} - {None} if ends[0] != ends[1] else ():
                    page = made_pages.get(cards.CARDS / group / f"{option}.md")
                    if page and claim_path(each["id"]).name in page:
                        led += 1
                    else:  # a level of several options, such as batch+weight, or an ablation that is not shipped
                        assert page is None or file.stem not in {name for name in shipped_names()}, (option, each["id"])
    assert led > 20


def shipped_names():
    return {path.stem for path in (ROOT / "docs" / "results" / "ablations").glob("*.md")}


def test_pictures_of_tuning_mark_the_values_that_were_kept(made_pages):
    drawn = {path: text for path, text in made_pages.items() if path.suffix == ".svg"}
    assert len(drawn) > 40
    for path, text in drawn.items():
        assert f"]({path.name})" in made_pages[path.with_suffix(".md")]
        assert 'r="5"' in text, path


def test_targets_are_rounded_towards_what_is_easier():
    assert card._easier(0.9756, True) == 0.97
    assert card._easier(0.0412, False) == 0.042


def test_times_to_a_target_are_those_of_the_packed_histories():
    """Every run is at its last value after the second epoch of four: those that reach the target do so then."""
    study = made(arms=("b32", "b8"), regimes=("F",))
    plan = study.plans[0]
    plan = replace(plan, ablation=replace(plan.ablation, select_on=plan.ablation.metric))
    key = plan.ablation.select_on
    curves = {}
    for id, record in study.records.items():
        end = record.metrics.get(key, 0.1)  # of one that diverged
        curves[id] = {"step": [1, 2, 3, 4], "epoch": [1, 2, 3, 4], str(key): [0.0, end, end, end]}
    rows = list(card.speeds(Shipped({"batch": [plan]}, study.records, {}, curves), "batch_size", "b8"))
    assert {row[2] for row in rows} == {"b32", "b8"}
    assert all(2.0 <= float(row[3].partition(" ")[0]) <= 4.0 for row in rows)
    assert list(card.speeds(Shipped({"batch": [plan]}, study.records, {}), "batch_size", "b8")) == []

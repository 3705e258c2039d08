"""A claim that several ablations ask: one verdict over all of them, in units of each one's smallest effect."""

from __future__ import annotations

import math

import pytest
from made_ablations import Made

from paribus.ablation.file import AblationError
from paribus.ablation.parser import parse
from paribus.report.scoreboard import EVERYWHERE, lines
from paribus.report.verdicts import board, claims, everywhere


def made(name, gain, of="", **more):
    """An ablation in which batch norm gains so much accuracy over none; with other keys of its hypothesis."""
    hypothesis = {"id": name, "claim": "batch norm helps", "arm": {"norm": "batch"}, "versus": {"norm": "none"}, **more}
    if of:
        hypothesis["of"] = of
    section = {"name": name, "factors": {"norm": ["none", "batch"]}, "seeds": 10, "smallest_effect": 0.01,
               "hypotheses": [hypothesis]}  # fmt: skip
    return Made(section, lambda cell: 0.9 + gain * (cell.choices["norm"] == "batch"))


def claims_of(*every):
    return [claim for each in every for claim in claims(each.plans, each.read)]


LOSS = {"metric": "test/loss", "smallest_effect": 0.02}  # made so that it falls by what accuracy gains


def test_verdicts_that_differ_make_the_claim_conditional():
    found = claims_of(made("images", 0.0), made("texts", 0.08, of="images", **LOSS), made("other", 0.0))
    assert [each.overall.outcome for each in found] == ["NEGLIGIBLE", "SUPPORTED", "NEGLIGIBLE"]
    [(id, whole)] = everywhere(board(found)).items()
    assert (id, whole.ablation, whole.overall.outcome) == ("images", "images, texts", "CONDITIONAL")
    assert whole.overall.regimes == {"SUPPORTED": ("texts",), "NEGLIGIBLE": ("images",)}
    assert whole.overall.p < 1e-6


def test_gains_are_compared_in_units_of_the_smallest_effect():
    # 0.08 of a loss whose d is 0.02, and 0.04 of an accuracy whose d is 0.01: four d both, in either direction
    whole = everywhere(claims_of(made("images", 0.04), made("texts", 0.08, of="images", **LOSS)))["images"]
    assert whole.overall.outcome == "SUPPORTED"
    assert whole.overall.p > 0.01
    apart = everywhere(claims_of(made("images", 0.04), made("texts", 0.04, of="images", **LOSS)))["images"]
    assert apart.overall.p < 1e-6


def test_the_scoreboard_has_a_line_for_it_after_those_of_the_claim():
    found = lines(claims_of(made("images", 0.0), made("texts", 0.08, of="images", **LOSS)))
    assert [(each.id, each.regime, each.verdict) for each in found] == [
        ("images", "", "NEGLIGIBLE"), ("images", EVERYWHERE, "CONDITIONAL"), ("texts", "", "SUPPORTED"),
    ]  # fmt: skip
    assert "SUPPORTED in texts; NEGLIGIBLE in images" in found[1].words
    assert found[1].source == "images, texts"


def test_a_claim_that_nobody_else_asks_has_no_such_line():
    found = claims_of(made("images", 0.0), made("texts", 0.08, of="absent"))
    assert everywhere(found) == {}
    assert [each.regime for each in lines(found)] == ["", ""]


def test_what_is_not_an_id_of_another_claim_is_refused():
    hypothesis = {"id": "a", "claim": "b", "arm": {"norm": "batch"}, "versus": {"norm": "none"}}
    section = {"name": "x", "factors": {"norm": ["none", "batch"]}, "seeds": 2}
    for value in ("a", ["b"], True, math.nan):
        with pytest.raises(AblationError, match=r"hypotheses\[0\].of must be the id of a claim of another ablation"):
            parse({**section, "hypotheses": [{**hypothesis, "of": value}]})
    [ablation] = parse({**section, "hypotheses": [{**hypothesis, "of": 9.1}]})
    assert ablation.hypotheses[0].of == "9.1"

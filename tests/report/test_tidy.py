"""The tidy values of a search, which figure and page draw."""

import math
from collections import Counter

import pytest
from made_ablations import Made

from paribus.report.figures.catalogue import FIGURES, of_study
from paribus.report.page.charts import sensitivity, trials
from paribus.report.study import study
from paribus.report.tidy import in_order, searched

SPACE = {
    "optimizer.lr": {"log": [1e-3, 1]},
    "model.width": {"int": [8, 64]},
    "optimizer.nesterov": {"choice": [True, False]},
}
SECTION = {
    "name": "t",
    "factors": {"norm": ["batch", "layer"]},
    "tune": {"trials": 14, "space": SPACE},
    "when": [{"if": {"norm": "layer"}, "tune": {"space": {"optimizer.weight_decay": {"uniform": [0, 0.1]}}}}],
    "seeds": {"tune": 2, "report": 3},
}


def made(**change):
    """The study of an ablation in which runs with high rates diverge."""
    ablation = Made(
        {**SECTION, **change},
        lambda cell: None if cell.run.optimizer["lr"] > 0.5 else 0.9 - 0.2 * abs(cell.run.optimizer["lr"] - 0.1),
    )
    [plan] = ablation.plans
    arms = {arm: [ablation.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    return study(plan.name, arms, ["test/acc"], plan, ablation.read, lambda id: {})


@pytest.fixture(scope="module")
def drawn():
    return made()


def test_each_numeric_key_has_the_trials_of_the_arms_that_search_it(drawn):
    found = {each.key: each for each in searched(drawn)}
    assert {key: (each.log, [*each.trials]) for key, each in found.items()} == {
        "model.width": (False, ["batch", "layer"]),
        "optimizer.lr": (True, ["batch", "layer"]),
        "optimizer.weight_decay": (False, ["layer"]),
    }
    for key, each in found.items():
        for arm, of in each.trials.items():
            tuned = drawn.plan.tuned[arm]
            assert [value for value, _ in of] == [point[key] for point, _ in tuned.trials]
            assert {len(scores) for _, scores in of} == {2}
            assert of[each.chosen[arm]][0] == tuned.point[key]
    rates = found["optimizer.lr"].trials["batch"]
    assert [math.isnan(scores[0]) for _, scores in rates] == [lr > 0.5 for lr, _ in rates]
    assert any(lr > 0.5 for lr, _ in rates)


def test_the_page_has_dots_a_ring_and_crosses_for_each_key(drawn):
    assert sensitivity(drawn) is None
    charts = {chart["x"]["label"]: chart for chart in trials(drawn)}
    assert {label: chart["x"]["kind"] for label, chart in charts.items()} == {
        "model.width": "linear",
        "optimizer.lr": "log",
        "optimizer.weight_decay": "linear",
    }
    batch, layer = charts["optimizer.lr"]["series"]
    assert (batch["line"], len(batch["x"]), layer["arm"]) == (False, 14, 1)
    assert batch["chosen"] == drawn.plan.tuned["batch"].index
    assert batch["lost"] == [[lr, 2, 2] for lr in batch["x"] if lr > 0.5]
    assert [each["arm"] for each in charts["optimizer.weight_decay"]["series"]] == [1]


def test_the_figure_of_sensitivity_is_that_of_the_trials(drawn):
    [(_, figure)] = of_study(drawn, ["sensitivity"])
    assert [panel.get_xlabel() for panel in figure.axes] == ["width", "lr", "weight decay"]
    assert "best_of_k" in FIGURES


def test_one_key_alone_has_a_curve():
    one = made(tune={"trials": 14, "space": {"optimizer.lr": SPACE["optimizer.lr"]}}, when=None)
    assert searched(one) == []
    assert trials(one) == []
    series = sensitivity(one)["series"][0]
    assert series["x"] == sorted(point["optimizer.lr"] for point, _ in one.plan.tuned["batch"].trials)
    assert series["ring"] == one.plan.tuned["batch"].point["optimizer.lr"]
    assert Counter(len(each["x"]) for each in sensitivity(one)["series"]) == {14: 2}


@pytest.mark.parametrize(
    ("levels", "ordered"),
    [
        (("b128", "b32", "b4"), ["b4", "b32", "b128"]),
        (("1", "0.01", "3e-4", "-2"), ["-2", "3e-4", "0.01", "1"]),
        (("10 epochs", "5 epochs"), ["5 epochs", "10 epochs"]),
        (("none", "batch"), ["none", "batch"]),
        (("b32", "c4"), ["b32", "c4"]),
        (("2", "1", "none"), ["2", "1", "none"]),
    ],
)
def test_levels_that_are_numbers_go_from_the_smallest_to_the_largest(levels, ordered):
    assert [level for _, level in in_order(levels)] == ordered
    assert all(levels[place] == level for place, level in in_order(levels))

"""The sheet of arms over many regimes: its numbers, where it is left out, and that its source makes it again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_ablations import Made
from scipy import stats

from paribus.evidence.aggregate import aggregate_plan
from paribus.evidence.data_sets import Across, across
from paribus.report.tables.source import Options, build, sheets
from paribus.report.tables.table import document
from paribus.report.tables.verify import verify
from paribus.stats.multiple import holm
from paribus.stats.practical import over_data_sets

ARMS = ("batch", "none", "layer")
OPTIONS = Options(("test/acc",))


def made(regimes: int = 7, **changes) -> Made:
    section = {
        "name": "many", "factors": {"norm": [*ARMS]}, "seeds": 2,
        "regimes": {f"d{k}": {"set": {"budget.epochs": k + 1}} for k in range(regimes)}, **changes,
    }  # fmt: skip

    def accuracy(cell) -> float:
        task = float(next(o for o in cell.overrides if o.startswith("budget.epochs")).split("=")[1])
        return 0.7 + 0.02 * task + {"batch": 0.02, "none": -0.02, "layer": 0.019}[cell.choices["norm"]]

    return Made(section, accuracy, noise=0.002)


@pytest.fixture(scope="module")
def many():
    return made()


def test_it_shows_mean_ranks_and_the_tests_of_scipy(many):
    found = across([aggregate_plan(plan, many.read, ["test/acc"]) for plan in many.plans])
    assert isinstance(found, Across)
    means = np.array([[np.mean([many.read(c.id).metrics["test/acc"] for c in plan.arms[arm]]) for arm in ARMS]
                      for plan in many.plans])  # fmt: skip
    ranks = stats.rankdata(-means, axis=1)
    order = np.argsort(ranks.mean(0))
    *_, sheet = sheets(many.plans, many.read, OPTIONS)
    assert sheet.title == "Over the regimes: many"
    assert [row[0].text for row in sheet.rows] == [ARMS[k] for k in order]
    assert [row[1].text for row in sheet.rows] == [f"{ranks.mean(0)[k]:.2f}" for k in order]
    assert [row[2].text for row in sheet.rows] == [str((ranks[:, k] == 1).sum()) for k in order]
    pairs = [(0, 1), (0, 2), (1, 2)]
    p = holm([stats.wilcoxon(means[:, i] - means[:, j], method="exact").pvalue for i, j in pairs])
    expected = {frozenset(pair): each for pair, each in zip(pairs, p, strict=True)}
    assert [row[3].text for row in sheet.rows[1:]] == [f"{expected[frozenset((order[0], k))]:.3f}" for k in order[1:]]
    assert "Arms over 7 regimes (d0, d1, d2, d3, d4, d5, d6), which are taken as a sample" in sheet.caption
    assert "for 3 pairs of arms; the smallest possible value is 0.047" in sheet.caption
    close = {ARMS[k] for k in order[:2]}
    assert any(close <= set(group.split("; ")) for group in sheet.caption.split("at 5 %: ")[1].rstrip(".").split(" | "))


def test_it_says_how_probably_an_arm_is_better_the_same_or_worse(many):
    found = across([aggregate_plan(plan, many.read, ["test/acc"]) for plan in many.plans])
    means = {arm: np.array([np.mean([many.read(c.id).metrics["test/acc"] for c in plan.arms[arm]])
                            for plan in many.plans]) for arm in ARMS}  # fmt: skip
    *_, sheet = sheets(many.plans, many.read, OPTIONS)
    assert [column.head for column in sheet.columns[4:]] == ["P(better than batch)", "P(same)", "P(worse)"]
    shown = {row[0].text: [entry.text for entry in row[4:]] for row in sheet.rows}
    assert shown["batch"] == ["baseline", "", ""]
    for arm in ("none", "layer"):
        own = over_data_sets(means[arm] - means["batch"], 0.005)
        assert found.practical[arm] == own
        assert shown[arm] == [f"{p:.2f}" for p in (own.above, own.same, own.below)]
    assert float(shown["none"][2]) > 0.99, "2 points worse on each"
    assert float(shown["layer"][1]) > 0.99, "0.1 points is practically none"
    assert "better than batch by more than d = 0.5 points, within ±d, or worse by more" in sheet.caption


def test_of_other_metrics_nobody_knows_what_is_practically_the_same(many):
    found = across([aggregate_plan(plan, many.read, ["test/loss"]) for plan in many.plans])
    assert (found.smallest, found.practical) == (None, {})
    *_, sheet = sheets(many.plans, many.read, Options(("test/loss",)))
    assert len(sheet.columns) == 4
    assert "P:" not in sheet.caption


def test_lower_losses_are_better():
    losses = made(metric="test/loss", smallest_effect=0.005)
    found = across([aggregate_plan(plan, losses.read, ["test/loss"]) for plan in losses.plans])
    assert found.practical["none"].below > 0.99


def test_its_source_makes_it_again_and_verify_compares_it(many):
    found = sheets(many.plans, many.read, OPTIONS)
    again = build(json.loads(json.dumps(found[-1].source)), many.read)
    assert (again.rows, again.caption) == (found[-1].rows, found[-1].caption)
    text = document(found[-1:], "markdown")
    [checked] = verify(text, many.read)
    assert (checked.drift, checked.notices) == ([], [])
    [changed] = verify(text.replace("best of 7", "best of 7").replace("0.047", "0.012", 1), many.read)
    assert changed.drift


def test_few_regimes_are_not_ranked():
    few = made(5)
    assert [sheet.title for sheet in sheets(few.plans, few.read, OPTIONS)] == [f"many [d{k}]" for k in range(5)]
    tables = [aggregate_plan(plan, few.read, ["test/acc"]) for plan in few.plans]
    assert across(tables).startswith("arms are ranked over 6 regimes or data sets, or more (ablation.regimes, or")


def test_data_sets_of_a_command_line_are_told_apart(many):
    tables = [aggregate_plan(plan, many.read, ["test/acc"]) for plan in many.plans]
    for k, table in enumerate(tables):
        table.plan = replace(table.plan, ablation=replace(table.plan.ablation, regime="T" if k < 3 else None))
        table.name = f"many, data=set{k}"
    assert across(tables).regimes == tuple(f"many, data=set{k}" for k in range(7))


def test_what_can_not_be_ranked_says_why(many):
    tables = [aggregate_plan(plan, many.read, ["ms_per_update"]) for plan in many.plans]
    assert across(tables) == "neither direction of ms_per_update is better"
    one = [aggregate_plan(plan, many.read, ["test/acc"]) for plan in many.plans]
    one[0].rows = one[0].rows[:1]
    assert across(one) == "the regimes have no two arms in common"


def test_lower_losses_rank_first(many):
    tables = [aggregate_plan(plan, many.read, ["test/loss"]) for plan in many.plans]
    better = [aggregate_plan(plan, many.read, ["test/acc"]) for plan in many.plans]
    np.testing.assert_array_equal(across(tables).ranks.mean, across(better).ranks.mean)

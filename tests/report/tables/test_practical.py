"""The columns that say how probably an arm is better, practically the same, or worse than the baseline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_ablations import Made
from scipy import stats

from paribus.evidence.aggregate import aggregate, aggregate_plan
from paribus.report.tables.columns import View, columns
from paribus.report.tables.sheets import arms_sheet
from paribus.report.tables.source import Options, sheets

ARMS = {"batch": 0.90, "none": 0.88, "layer": 0.904}
CHOSEN = ("test/acc", "practical", "n")


@pytest.fixture(scope="module")
def norm():
    section = {"name": "norm", "factors": {"norm": [*ARMS]}, "seeds": 6, "smallest_effect": 0.01}
    return Made(section, lambda cell: ARMS[cell.choices["norm"]])


def test_they_are_those_of_the_paired_differences(norm):
    [plan] = norm.plans
    [sheet, *_] = sheets(norm.plans, norm.read, Options(("test/acc",), CHOSEN))
    assert [column.head for column in sheet.columns[2:5]] == ["P(better by d)", "P(same)", "P(worse by d)"]
    scores = {arm: [norm.read(c.id).metrics["test/acc"] for c in plan.arms[arm]] for arm in ARMS}
    for row in sheet.rows:
        if row[0].text == "batch":
            assert [entry.text for entry in row[2:5]] == [""] * 3
            continue
        d = np.subtract(scores[row[0].text], scores["batch"])
        posterior = stats.t(5, d.mean(), stats.sem(d))
        low, high = posterior.cdf(-0.01), posterior.cdf(0.01)
        assert [entry.text for entry in row[2:5]] == [f"{p:.2f}" for p in (1 - high, high - low, low)]
    assert (
        "truly better than batch by more than d = 1 points, within ±d, or worse by more, by the Bayesian t test"
        in sheet.caption
    )
    assert "P:" not in sheets(norm.plans, norm.read, Options(("test/acc",)))[0].caption


def test_lower_is_better_where_the_metric_says_so(norm):
    losses = Made({**norm.section, "metric": "test/loss"}, norm.accuracy)
    [plan] = losses.plans
    table = aggregate_plan(plan, losses.read, ["test/loss"])
    *_, (_, worse) = columns(table, View(columns=("practical",)))
    assert float(worse[list(ARMS).index("none")].text) > 0.95


def test_without_a_smallest_effect_there_are_none(norm):
    [plan] = norm.plans
    arms = {arm: [norm.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    for table in (aggregate("norm", arms, ["test/acc"]), aggregate_plan(plan, norm.read, ["test/loss"])):
        sheet = arms_sheet(table, View(columns=("practical",)))
        assert {entry.text for row in sheet.rows for entry in row[1:]} == {"", "–"}
        assert "The smallest effect of interest is not known of test" in sheet.caption


def test_one_seed_says_nothing(norm):
    single = Made({**norm.section, "seeds": 1}, norm.accuracy)
    table = aggregate_plan(single.plans[0], single.read, ["test/acc"])
    assert math.isnan(table.rows[1].cells["test/acc"].mean.sd)
    assert {entry.text for _, entries in columns(table, View(columns=("practical",))) for entry in entries} == {"", "–"}

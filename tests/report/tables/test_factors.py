"""The sheet of a grid's factors: its numbers, its words, and that its source alone makes it again."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from made_ablations import Made

from paribus.evidence.aggregate import aggregate_plan
from paribus.evidence.factorial import Factorial, factorial
from paribus.report.tables.factors import factors_sheet
from paribus.report.tables.source import Options, build, sheets
from paribus.report.tables.table import document
from paribus.report.tables.verify import verify
from paribus.stats.factors import decompose
from paribus.store.scores import score

SECTION = {
    "name": "two", "design": "grid", "seeds": 6,
    "factors": {"norm": ["batch", "none", "layer"], "batch_size": ["b64", "b8"]},
}  # fmt: skip
OPTIONS = Options(("test/acc",))


def accuracy(cell) -> float:
    """Batch norm is better, and more so with large batches; the batch size alone does little."""
    norm, large = cell.choices["norm"], cell.choices["batch_size"] == "b64"
    return 0.9 + {"batch": 0.04 if large else 0.01, "none": 0.0, "layer": 0.01}[norm] + 0.002 * large


@pytest.fixture(scope="module")
def two():
    return Made(SECTION, accuracy, noise=0.001)


def made(accuracy=accuracy, noise=0.001, **changes) -> Made:
    return Made({**SECTION, **changes}, accuracy, noise)


def sheet_of(found: Made):
    table = aggregate_plan(found.plans[0], found.read, ["test/acc"])
    grid = factorial(table, found.read)
    assert isinstance(grid, Factorial), grid
    return grid, factors_sheet(grid, table)


def test_it_shows_the_decomposition_of_the_scores(two):
    [plan] = two.plans
    values = np.array([[score(two.read(c.id), "test/acc") for c in cells] for cells in plan.arms.values()]).T
    places = [[("batch", "none", "layer").index(of["norm"]), ("b64", "b8").index(of["batch_size"])]
              for of in plan.levels.values()]  # fmt: skip
    found = decompose(values, np.array(places)).effects
    grid, sheet = sheet_of(two)
    assert [row[0].text for row in sheet.rows] == ["norm", "batch_size", "norm × batch_size"]
    for row, effect in zip(sheet.rows, found, strict=True):
        assert row[1].text == f"{100 * effect.share:.0f}"
        assert row[1].rest == f"({100 * effect.low:.0f} to {100 * effect.high:.0f})"
        assert row[2].text == ("< 0.001" if effect.p < 0.001 else f"{effect.p:.3f}")
    assert sheet.rows[0][4].text == "batch − none"
    assert sheet.rows[2][4].text in ("(batch − none at b64) − (batch − none at b8)",
                                     "(batch − layer at b64) − (batch − layer at b8)")  # fmt: skip
    norms = [values[:, [p[0] == k for p in places]].mean() for k in range(3)]
    assert float(sheet.rows[0][3].text) == pytest.approx(100 * (norms[0] - min(norms)), abs=0.01)
    assert "6 arms, by norm and batch_size and their interactions, over the 6 seeds" in sheet.caption
    assert "adjusted by Holm for 3 terms" in sheet.caption
    assert "% of this variance is common to all arms of a seed" in sheet.caption
    assert grid.planned == 6


def test_it_follows_the_table_and_is_made_again_from_its_source_alone(two):
    table, factors = sheets(two.plans, two.read, OPTIONS)
    assert [table.title, factors.title] == ["two: test accuracy (%)", "Which factor matters: two"]
    assert factors.source["kind"] == "factors"
    again = build(json.loads(json.dumps(factors.source)), two.read)
    assert again.rows == factors.rows
    assert again.caption == factors.caption


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_paribus_verify_compares_its_numbers(two, form):
    text = document(sheets(two.plans, two.read, OPTIONS), form)
    first, second = verify(text, two.read)
    assert (first.drift, second.drift, second.notices) == ([], [], [])
    assert second.title == "Which factor matters: two"
    assert second.numbers > 20
    share = sheet_of(two)[1].rows[0][1]
    at = text.rindex({"markdown": "| term", "latex": "\\midrule", "html": "<tbody>"}[form])
    changed = text[:at] + re.sub(rf"(?<!\d){share.text}(?!\d)", "12", text[at:], count=1)
    drifts = verify(changed, two.read)[1].drift
    assert any(f"says 12, the records say {share.text}" in line for line in drifts)


def test_no_other_design_has_one(two):
    one = made(design="one_factor", seeds=3)
    assert len(sheets(one.plans, one.read, OPTIONS)) == 1
    table = aggregate_plan(one.plans[0], one.read, ["test/acc"])
    assert "not a grid of two or more factors" in factorial(table, one.read)
    single = made(factors={"norm": ["batch", "none"]})
    assert len(sheets(single.plans, single.read, OPTIONS)) == 1


def test_a_seed_that_lacks_a_run_is_left_out_and_said(two):
    gone = two.plans[0].arms["norm=none, batch_size=b8"][2].id
    found = Made.__new__(Made)
    found.plans, found.records = two.plans, {id: r for id, r in two.records.items() if id != gone}
    grid, sheet = sheet_of(found)
    assert (grid.found.n, grid.planned) == (5, 6)
    assert "over the 5 of 6 seeds that have a finished run at every arm" in sheet.caption


def test_a_run_that_diverged_is_scored_at_chance_and_said():
    lost = made(lambda cell: None if cell.choices["norm"] == "none" and cell.seed == 2 else accuracy(cell))
    grid, sheet = sheet_of(lost)
    assert grid.scores.min() == 0.1
    assert grid.found.n == 6
    assert "CAUTION: runs of norm=none, batch_size=b64; norm=none, batch_size=b8 collapsed" in sheet.caption


def test_a_grid_that_lacks_an_arm_says_what_its_shares_are():
    lacking = made(when=[{"if": {"norm": "none", "batch_size": "b8"}, "exclude": "does not fit"}])
    grid, sheet = sheet_of(lacking)
    assert not grid.full
    assert len(grid.places) == 5
    assert "each term is adjusted for the others (sums of squares of type II)" in sheet.caption
    assert [row[0].text for row in sheet.rows] == ["norm", "batch_size", "norm × batch_size"]


def test_the_luck_of_tuning_is_covered_where_points_are_kept():
    """Two learning rates that are alike: the mean of an arm may be that at either."""
    tuned = made(tune={"optimizer.lr": [0.01, 0.1]}, seeds={"tune": 3, "report": 4})
    [plan] = tuned.plans
    grid, sheet = sheet_of(tuned)
    assert plan.kept
    assert "this is part of p and of the intervals" in sheet.caption
    rows = {arm: [cells, *plan.kept.get(arm, {}).values()] for arm, cells in plan.arms.items()}
    table = aggregate_plan(plan, tuned.read, ["test/acc"])
    means = {row.arm: row.cells["test/acc"].mean.mean for row in table.rows}
    slack = [
        max(abs(np.mean([tuned.read(cell.id).metrics["test/acc"] for cell in cells]) - means[arm]) for cells in each)
        for arm, each in rows.items()
    ]
    np.testing.assert_allclose(grid.scores.mean(0), list(means.values()))
    expected = decompose(grid.scores, grid.places, slack=np.array(slack))
    assert [each.p for each in grid.found.effects] == pytest.approx([each.p for each in expected.effects])
    assert [each.low for each in grid.found.effects] == pytest.approx([each.low for each in expected.effects])
    once = made(tune={"optimizer.lr": [0.01, 0.1]}, seeds={"tune": 3, "report": 4, "tuning": "once"})
    assert "at the winner of the tuning; no p or interval here covers its luck" in sheet_of(once)[1].caption


def test_seeds_that_are_added_do_not_count():
    added = made(noise=0.01, seeds={"report": 3, "cap": 9})
    grid, sheet = sheet_of(added)
    assert max(map(len, added.plans[0].arms.values())) > 3
    assert grid.planned == grid.found.n == 3
    assert "over the 3 seeds of the first look that have" in sheet.caption


def test_three_factors_and_more():
    section = {
        "name": "four", "design": "grid", "seeds": 3,
        "factors": {"norm": ["batch", "none"], "batch_size": ["b64", "b8"], "optimizer.lr": [0.1, 0.2],
                    "budget.epochs": [1, 2]},
    }  # fmt: skip
    four = Made(section, accuracy, noise=0.001)
    grid, sheet = sheet_of(four)
    names = [row[0].text for row in sheet.rows]
    assert len(names) == 4 + 6 + 1
    assert names[4] == "norm × batch_size"
    assert names[-1] == "interactions of three or more"
    assert sum(effect.freedom for effect in grid.found.effects) == 15
    assert max(grid.found.effects, key=lambda each: 0 if math.isnan(each.share) else each.share).term == (0,)


def test_losses_of_different_kinds_are_not_decomposed():
    losses = made(seeds=3)
    for record in losses.records.values():
        record.choices["loss"] = "mse" if "norm=none" in record.arm else "cross_entropy"
    table = aggregate_plan(losses.plans[0], losses.read, ["test/loss"])
    assert factorial(table, losses.read) == "losses of different kinds have no common scale"

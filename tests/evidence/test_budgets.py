"""Who is ahead at which budget for tuning, from the records of tuning runs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_ablations import Made

from paribus.base.metrics import FIRST
from paribus.evidence.budgets import tuning_budgets
from paribus.report.figures.catalogue import of_study
from paribus.report.page.charts import best
from paribus.report.study import study
from paribus.report.tables.budgets import ahead_words, budgets_sheet
from paribus.report.tables.source import Options, build, sheets
from paribus.report.tables.table import csv_text, lines
from paribus.stats.budgets import after, search

SECTION = {
    "name": "t",
    "factors": {"norm": ["batch", "none"]},
    "tune": {"trials": 32, "space": {"optimizer.lr": {"log": [1e-3, 1]}}},
    "seeds": {"tune": 3, "report": 3},
}


def accuracy(cell):
    """Without a norm a run needs a rate near 0.03, and is better there; rates of a half and more diverge."""
    lr = cell.run.optimizer["lr"]
    if lr > 0.5:
        return None
    gap = abs(math.log10(lr) + 1.5)
    return 0.88 - 0.05 * gap if cell.arm == "batch" else 0.96 if gap < 0.5 else 0.4


def made(**change):
    return Made({**SECTION, **change}, accuracy, noise=0.002)


@pytest.fixture(scope="module")
def ablation():
    return made()


@pytest.fixture(scope="module")
def found(ablation):
    return tuning_budgets(ablation.plans[0], ablation.read)


def test_curves_are_those_of_the_tuning_runs(ablation, found):
    [plan] = ablation.plans
    assert (found.trials, found.seeds, found.baseline, found.without) == (32, 3, "batch", None)
    for arm, each in found.arms.items():
        rows = [[ablation.read(id) for id in ids] for _, ids in plan.tuned[arm].trials]

        def values(metric, rows=rows):  # ten classes: guessing scores 0.1
            return np.array([[run.metrics.get(metric, 0.1) for run in row] for row in rows])

        own = search(values("val/acc"), values("test/acc"))
        assert [one.mean for one in each.curve] == pytest.approx(own.seeds.mean(0))
        assert [math.isfinite(one.low) for one in each.curve] == [k <= 16 for k in range(1, 33)]
        assert each.curve[3] == after(own, 4)


def test_an_arm_that_needs_tuning_is_behind_first_and_ahead_in_the_end(found):
    gaps = found.arms["none"].gaps
    assert list(gaps) == [1, 2, 4, 8, 16]
    assert gaps[1].gap.mean < 0 < gaps[16].gap.mean
    assert found.comparisons == 5
    first, *_, last = found.ahead("none")
    assert (first[0][0], first[1]) == (1, "batch")
    assert (last[0][-1], last[1]) == (16, "none")
    [said] = ahead_words(found)
    assert said.startswith("none and batch, up to 16 trials: at 1")
    assert "on none is ahead; elsewhere it is open." in said


def test_p_values_are_adjusted_over_all_arms_and_budgets():
    both = made(factors={"norm": ["batch", "none", "layer"]})
    three = tuning_budgets(both.plans[0], both.read)
    assert three.comparisons == 10
    p = [each.gap.p for arm in three.arms.values() for each in arm.gaps.values()]
    holm = [each.p_holm for arm in three.arms.values() for each in arm.gaps.values()]
    assert min(holm) == pytest.approx(min(1.0, 10 * min(p)))


def test_losses_are_ahead_where_they_are_lower(ablation):
    [plan] = ablation.plans
    turned = replace(plan, ablation=replace(plan.ablation, metric=FIRST.key("test/loss")))
    calm = {**ablation.records}
    for id, record in calm.items():  # what guessing loses is not known: no run may have diverged
        if record.status == "diverged":
            calm[id] = replace(record, status="done", metrics={"val/acc": 0.1, "test/loss": 0.9})
    losses = tuning_budgets(turned, calm.get)
    assert losses.ahead("none")[0][1] == "batch"
    assert losses.ahead("none")[-1][1] == "none"
    assert losses.arms["none"].gaps[16].gap.mean < 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tune": {**SECTION["tune"], "sampler": "random"}}, "bands hold for Sobol trials only"),
        ({"tune": {**SECTION["tune"], "trials": 6}}, "bands need 8 trials or more, and there are 6"),
        ({"seeds": {"tune": 2, "report": 3}}, "bands need 3 tuning seeds or more, and there are 2"),
    ],
)
def test_where_nothing_tells_the_luck_there_are_curves_without_bands(change, reason):
    ablation = made(**change)
    found = tuning_budgets(ablation.plans[0], ablation.read)
    assert found.without.startswith(reason)
    assert all(math.isnan(one.low) for each in found.arms.values() for one in each.curve)
    assert not any(each.gaps for each in found.arms.values())
    every = sheets(ablation.plans, ablation.read, Options(("test/acc",)))
    assert "budgets" not in [sheet.source["kind"] for sheet in every]


def test_a_grid_is_no_sample():
    ablation = made(tune={"optimizer.lr": [0.01, 0.1, 1.0]})
    assert tuning_budgets(ablation.plans[0], ablation.read) is None


def test_the_sheet_has_every_budget_and_is_made_again_from_its_source(ablation, found):
    every = sheets(ablation.plans, ablation.read, Options(("test/acc",)))
    sheet = next(each for each in every if each.source["kind"] == "budgets")
    assert sheet.rows == budgets_sheet("t", found).rows
    assert [(row[0].text, row[1].text) for row in sheet.rows] == [
        (arm, str(k)) for arm in ("batch", "none") for k in (1, 2, 4, 8, 16)
    ]
    for row, (k, each) in zip(sheet.rows[5:], found.arms["none"].gaps.items(), strict=True):
        assert float(row[2].text) == pytest.approx(100 * found.arms["none"].curve[k - 1].mean, abs=0.5)
        assert float(row[3].text.replace("−", "-")) == pytest.approx(100 * each.gap.mean, abs=0.6)
    assert "of the 32 that each arm tried (Dodge et al. 2019; Tang et al. 2020)" in sheet.caption
    assert "adjusted by Holm for 5 comparisons" in sheet.caption
    assert build(sheet.source, ablation.read) == sheet


def test_programs_get_a_line_for_each_budget(ablation, found):
    every = [line for line in lines([], (), [("t", found)]) if line["arm"] == "none"]
    assert [line["metric"] for line in every[:2]] == ["test/acc after 1 trial", "test/acc after 2 trials"]
    assert [line["mean"] for line in every] == [one.mean for one in found.arms["none"].curve]
    tested = {int(line["metric"].split()[2]): line for line in every if not math.isnan(line["p"])}
    assert {k: (line["difference"], line["p_holm"]) for k, line in tested.items()} == {
        k: (each.gap.mean, each.p_holm) for k, each in found.arms["none"].gaps.items()
    }
    assert csv_text([], (), [("t", found)]).count("\n") == 1 + 2 * 32


def test_figure_and_page_draw_the_same_curves(ablation, found):
    [plan] = ablation.plans
    arms = {arm: [ablation.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    drawn = study(plan.name, arms, ["test/acc"], plan, ablation.read, lambda id: {})
    assert drawn.budgets == found
    chart = best(drawn)
    curve = found.arms["none"].curve
    assert chart["series"][1]["y"] == pytest.approx([100 * one.mean for one in curve], rel=1e-3)
    assert chart["series"][1]["low"][16:] == [None] * 16
    assert all(0 <= value <= 100 for value in chart["series"][1]["high"][:16])
    [(_, figure)] = of_study(drawn, ["best_of_k"])
    [panel] = figure.axes
    assert panel.get_xscale() == "log"
    assert list(panel.lines[1].get_ydata()) == pytest.approx([100 * one.mean for one in curve])
    marks = [list(line.get_xdata()) for line in panel.lines[2:]]
    assert marks == [ks for ks, _ in found.ahead("none")]

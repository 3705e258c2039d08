"""Any two metrics of runs, and settings beside what they give: the values are those of the records."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_ablations import Made
from made_studies import made, made_grid

from paribus.report.page.explore import parallel, scatter
from paribus.report.study import study

SEARCHED = {
    "name": "t",
    "factors": {"norm": ["batch", "layer"]},
    "tune": {"trials": 8, "space": {"optimizer.lr": {"log": [1e-3, 1]}, "model.width": {"int": [8, 64]}}},
    "seeds": {"tune": 3, "report": 3},
}


def searched(score):
    ablation = Made(SEARCHED, score)
    [plan] = ablation.plans
    arms = {arm: [ablation.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    return study(plan.name, arms, ["test/acc"], plan, ablation.read, lambda id: {})


def test_every_number_that_varies_can_be_drawn_against_every_other():
    result = made(regimes=("F",))
    found = scatter(result.studies[0])
    assert next(iter(found["axes"])) == "test/acc"
    assert {"val/acc", "test/loss", "ms_per_update"} <= set(found["axes"])
    assert "fit_seconds" not in found["axes"], "all runs took 3 s"
    assert found["first"] == [list(found["axes"])[1], "test/acc"]
    assert found["axes"]["test/acc"] == {"label": "test accuracy (%)", "kind": "error"}
    for arm in found["arms"]:
        for k, id in enumerate(arm["ids"]):
            record = result.records[id]
            assert arm["values"]["test/acc"][k] == pytest.approx(100 * record.metrics["test/acc"], rel=1e-3)
            assert arm["values"]["ms_per_update"][k] == record.timing["ms_per_update"]
            assert arm["notes"][k] == f"seed {record.seed}"
    assert [arm["arm"] for arm in found["arms"]] == [0, 1, 2]


def test_wide_values_stand_on_a_logarithmic_axis_and_lacking_ones_are_left_out():
    result = made(regimes=("F",))
    runs = [record for record in result.records.values() if record.status == "done"]
    for k, record in enumerate(runs):
        record.metrics["test/wide"] = 10.0 ** (k % 4)
    del runs[0].metrics["test/wide"]
    result.gather()
    found = scatter(result.studies[0])
    assert found["axes"]["test/wide"]["kind"] == "log"
    assert found["arms"][0]["values"]["test/wide"][0] is None
    assert scatter(made_grid()) is None, "one metric can't be drawn against another"


def test_points_of_a_search_are_lines_over_their_settings():
    found = parallel(searched(lambda cell: None if cell.run.optimizer["lr"] > 0.5 else 0.9 - cell.run.optimizer["lr"]))
    norm, *tuned, score = found["axes"]
    assert norm["names"] == ["batch", "layer"]
    assert {each["label"]: each["kind"] for each in tuned} == {"optimizer.lr": "log", "model.width": "linear"}
    rate = 1 + [each["label"] for each in tuned].index("optimizer.lr")
    assert score["label"] == "validation accuracy (%)"
    assert found["higher"]
    for line in found["series"]:
        place, lr, acc = (line["values"][k] for k in (0, rate, -1))
        assert place == line["arm"]
        assert lr <= 0.5, "a point at which every run diverged has no place on the axis of the metric"
        assert acc == pytest.approx(100 * (0.9 - lr), abs=1)
        assert line["note"] == "n = 3"
    best = [max((s for s in found["series"] if s["arm"] == arm), key=lambda s: s["values"][-1]) for arm in (0, 1)]
    assert [line for line in found["series"] if line["chosen"]] == best


def test_curves_and_heat_maps_show_fewer_settings():
    assert parallel(made().studies[1]) is None, "one factor and one tuned key"
    assert parallel(made_grid()) is None, "two factors"


def test_of_a_grid_of_three_factors_each_arm_is_a_line():
    factors = {"norm": ["batch", "layer"], "optimizer.lr": [0.01, 0.1], "optimizer.momentum": [0.0, 0.9]}
    ablation = Made(
        {"name": "t", "design": "grid", "factors": factors, "seeds": 3}, lambda cell: 0.5 + cell.run.optimizer["lr"]
    )
    [plan] = ablation.plans
    arms = {arm: [ablation.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    found = parallel(study(plan.name, arms, ["test/acc"], plan, ablation.read, lambda id: {}))
    assert [axis["label"] for axis in found["axes"]] == [*factors, "test accuracy (%)"]
    assert len(found["series"]) == 8
    rates = np.array([line["values"][1] for line in found["series"]])
    assert [line["values"][-1] for line in found["series"]] == pytest.approx((50 + 100 * rates).tolist(), abs=1)
    assert all(math.isfinite(value) for line in found["series"] for value in line["values"])

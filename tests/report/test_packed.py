"""Curves travel with packed results: a few points of each, at the same updates in all runs of an arm."""

from __future__ import annotations

import json
import lzma
import math

import numpy as np
import pytest
from made_studies import METRICS, made

from paribus.base.errors import UserError
from paribus.evidence.curves import mean_curve
from paribus.extras.exchange.adopt import adopt_packed
from paribus.report.packed import POINTS, Shipped, thinned, update, write, write_unfinished
from paribus.report.page.render import page
from paribus.report.study import study
from paribus.store import registration
from paribus.store.registration import Entry, Registration
from paribus.store.store import Store


@pytest.fixture
def packed(tmp_path):
    """An ablation whose runs have 90 epochs, and the file that it was packed into."""
    result = made(seeds=5, epochs=90, regimes=("F",))
    result.histories[result.plans[0].arms["b8"][1].id]["train/loss"][-1] = math.nan
    path = tmp_path / "r.json.xz"
    write(path, {"batch": result.plans}, result.records.get, [], lambda id: result.histories.get(id, {}))
    return result, path


def test_rows_are_those_of_the_history_at_equal_distances(packed):
    result, path = packed
    curves = Shipped.read(path).curves
    assert set(curves) == {id for id in result.histories if id in result.records}
    for id, own in curves.items():
        whole = result.histories[id]
        rows = [whole["step"].index(step) for step in own["step"]]
        assert len(rows) == POINTS or result.records[id].status == "running"
        assert set(np.diff(rows)) <= {4, 5}
        for name in ("epoch", "seconds", "train/loss", "val/acc"):
            assert own[name] == pytest.approx([whole[name][row] for row in rows], rel=1e-3, nan_ok=True)
        assert "lr" not in own


def test_a_run_that_ended_early_has_fewer_rows_and_stays_out_of_means(packed):
    result, _ = packed
    cells = result.plans[0].arms["b8"]
    short = {cells[0].id: {name: column[:60] for name, column in result.histories[cells[0].id].items()}}
    runs = [result.records[cell.id] for cell in cells]
    found = thinned(runs, lambda id: short.get(id, result.histories[id]))
    assert len(found[cells[0].id]["step"]) < len(found[cells[2].id]["step"]) == POINTS
    assert mean_curve(list(found.values()), "val/acc", "step").n == len(cells) - 1


def test_packing_again_what_was_imported_changes_nothing(packed):
    result, path = packed
    curves = Shipped.read(path).curves
    again = thinned([result.records[cell.id] for cell in result.plans[0].arms["b32"]], lambda id: curves[id])
    assert all(own[name] == list(curves[id][name]) for id, own in again.items() for name in own)


def test_times_have_four_digits_and_metrics_all_of_theirs(packed):
    result, path = packed
    record = next(iter(result.records.values()))
    record.metrics["test/acc"], record.timing["ms_per_update"], record.timing["steps"] = (
        0.9612345678,
        1.00708776,
        123456,
    )
    write(path, {"batch": result.plans}, result.records.get, [])
    found = Shipped.read(path).record(record.id)
    assert found.metrics["test/acc"] == 0.9612345678
    assert (found.timing["ms_per_update"], found.timing["steps"]) == (1.007, 123456)
    before = path.read_bytes()
    update(path, {"batch": result.plans}, result.records.get)
    assert path.read_bytes() == before


def test_import_keeps_them_apart_from_histories_and_the_page_says_so(packed, tmp_path):
    result, path = packed
    store = Store(tmp_path / "outputs")
    for _ in range(2):
        adopt_packed(path, store)
    plan = result.plans[0]
    some = plan.arms["b8"][0].id
    assert store.history(some) == {}, "nothing but a drawing may use them"
    assert len(store.curves(some)["step"]) == POINTS
    arms = {arm: [store.read(cell.id) for cell in cells] for arm, cells in plan.arms.items()}
    found = study(plan.name, arms, METRICS, plan, store.read, store.history, curves=store.curves)
    assert found.sampled
    drawn, whole = (mean_curve(each.curves()["b32"], "val/acc", "step") for each in (found, result.studies[0]))
    at = [whole.x.tolist().index(step) for step in drawn.x]
    assert drawn.mean == pytest.approx(whole.mean[at], rel=1e-3)
    text = page("batch", [found], [], "paribus train -m ablation=batch")
    assert "at most 20 points of each curve" in text
    assert "at most 20 points" not in page("batch", result.studies, [], "paribus train -m ablation=batch")


def test_runs_with_whole_histories_are_drawn_at_the_updates_of_the_others(packed, tmp_path):
    result, path = packed
    store = Store(tmp_path / "outputs")
    adopt_packed(path, store)
    plan = result.plans[0]
    cells = plan.arms["b32"]
    own = {cells[0].id: result.histories[cells[0].id]}
    arms = {"b32": [store.read(cell.id) for cell in cells], "b8": [store.read(c.id) for c in plan.arms["b8"]]}
    found = study("batch", arms, ["test/acc"], None, store.read, lambda id: own.get(id, {}), curves=store.curves)
    assert len(found.histories[cells[0].id]["step"]) == POINTS
    assert mean_curve(found.curves()["b32"], "val/acc", "step").n == len(cells)


@pytest.mark.parametrize("wrong", [{"step": [1, 2], "val/acc": [0.5]}, {"val/acc": [0.5]}, {"step": ["x"]}, [1]])
def test_curves_that_nobody_can_draw_are_refused(packed, wrong):
    _, path = packed
    content = json.loads(lzma.decompress(path.read_bytes()))
    content["curves"] = {"ab": wrong}
    path.write_bytes(lzma.compress(json.dumps(content).encode()))
    with pytest.raises(UserError, match="must be a file of results"):
        Shipped.read(path)


CONTENT = {"seeds": {"report": [0, 1], "more": [2], "looks": [2, 3]}, "hypotheses": []}


def test_an_unfinished_ablation_goes_on_where_it_is_imported(tmp_path):
    """With its records, and with what was registered before its first run."""
    result = made(seeds=5, regimes=("F",))
    entry = Entry("2026-12-01T09:00:00+00:00", "recipe", 0, CONTENT)
    registered = Registration("batch [F]").with_entry(entry)
    path = tmp_path / "unfinished.json.xz"
    half = dict([*result.records.items()][::2])
    write_unfinished(path, result.plans, half.get, [registered, Registration("other")])
    assert not Shipped.read(path).plans
    store = Store(tmp_path / "outputs")
    adopt_packed(path, store)
    assert {id for id in result.records if store.read(id) is not None} == {*half}
    assert registration.read(store.root, "batch [F]") == registered

    later = registered.with_entry(Entry("2026-12-02T09:00:00+00:00", "recipe", 2, CONTENT))
    registration.write(store.root, later)
    adopt_packed(path, store)
    assert registration.read(store.root, "batch [F]") == later


def test_a_registration_that_was_edited_is_not_imported(tmp_path):
    registered = Registration("batch").with_entry(Entry("2026-12-01T09:00:00+00:00", "recipe", 0, CONTENT))
    path = tmp_path / "unfinished.json.xz"
    write_unfinished(path, [], lambda id: None, [registered])
    content = json.loads(lzma.decompress(path.read_bytes()))
    content["registrations"][0]["entries"][0]["seen"] = 7
    path.write_bytes(lzma.compress(json.dumps(content).encode()))
    adopt_packed(path, Store(tmp_path / "outputs"))
    assert not registration.read(tmp_path / "outputs", "batch").all_entries

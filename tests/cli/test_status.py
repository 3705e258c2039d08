"""`paribus status`: how far an ablation is, from its records."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from paribus.ablation.command import plan_command
from paribus.store.record import Record
from paribus.store.store import Store

ABLATION = """# @package _global_
# Tuned losses.
defaults:
  - override /model: mlp
budget: {epochs: 10}
ablation:
  name: mine
  factors: {loss: [cross_entropy, mse]}
  tune: {optimizer.lr: [0.02, 0.1]}
  seeds: {tune: 1, report: 2, tuning: once}
"""


@pytest.fixture
def store(tmp_path, paribus):
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(ABLATION)
    return Store(tmp_path / "outputs")


def write(store, cell, status, **fields):
    created = (datetime.now(timezone.utc) - timedelta(seconds=30)).isoformat(timespec="seconds")
    store.write(Record(cell.id, status, "mine", cell.arm, cell.seed, created=created, **fields))


def test_an_ablation_that_nobody_has_begun(paribus, store):
    result = paribus("status", "ablation=mine")
    assert result.code == 0, result.err
    first, *arms = result.out.splitlines()
    assert first == "mine: 4 missing, 4 waiting for tuning of 8 runs; the time left is known when the first run is done"
    assert [line.split(maxsplit=1)[1] for line in arms] == ["tuning: 2 missing; 2 waiting for tuning"] * 2


def test_an_ablation_half_way(paribus, store):
    [plan] = plan_command(["ablation=mine"], store.read)
    first, second, third, fourth = plan.tuning
    write(store, first, "done", metrics={"val/acc": 0.9}, timing={"total_seconds": 40.0})
    write(store, second, "done", metrics={"val/acc": 0.8}, timing={"total_seconds": 60.0})
    write(store, third, "failed", failure={"type": "out_of_memory", "message": "OutOfMemoryError: 9 GB"})
    write(store, fourth, "running")
    (store.run_dir(fourth.id) / "history.csv").write_text("epoch,step,seconds\n1,10,0.5\n4,40,2\n")
    with store.lock(fourth.id):
        said = paribus("status", "ablation=mine").out
        [found] = json.loads(paribus("status", "ablation=mine", "--json").out)
    # cross_entropy is tuned: its reporting runs are known, those of mse wait. 5 runs of 50 s are left, and 6/10 of one.
    assert said.splitlines()[0] == (
        "mine: 2 done, 1 running, 1 failed, 2 missing, 2 waiting for tuning of 8 runs; "
        "about 4 min 40 s left with 1 at a time"
    )
    assert "cross_entropy  tuning: 2 done; 2 missing" in said
    assert "mse            tuning: 1 running, 1 failed; 2 waiting for tuning" in said
    assert f"{fourth.id}  mse seed {fourth.seed}: for 3" in said
    assert "epoch 4, update 40, 40%" in said
    assert "failed, out_of_memory: 1" in said
    assert f"OutOfMemoryError: 9 GB  (outputs/runs/{third.id})" in said
    assert found["seconds_left"] == pytest.approx(280)
    assert found["failures"][0]["type"] == "out_of_memory"
    assert found["arms"]["mse"] == {"tune": {"failed": 1, "running": 1}}
    # Without its process the running one was interrupted.
    assert "1 interrupted" in paribus("status", "ablation=mine").out


def test_nothing_is_left_of_a_finished_ablation(paribus, store):
    while True:
        [plan] = plan_command(["ablation=mine"], store.read)
        if not (missing := [cell for cell in plan.cells if store.read(cell.id) is None]):
            break
        for cell in missing:
            write(store, cell, "done", metrics={"val/acc": 0.9}, timing={"total_seconds": 40.0})
    assert paribus("status", "ablation=mine").out.splitlines()[0] == "mine: 8 done of 8 runs"


def test_status_is_of_an_ablation(paribus):
    result = paribus("status")
    assert result.code == 2
    assert "ablation=NAME" in result.err

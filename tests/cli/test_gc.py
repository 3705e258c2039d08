"""`paribus gc`: only checkpoints go, and only those that nothing needs."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from paribus.ablation.ablation_files import all_names
from paribus.ablation.command import plan_command
from paribus.store.record import Record
from paribus.store.store import Store

KEPT = ("record.json", "config.yaml", "history.csv", "train.log")


def write(store, id, days, status="done"):
    created = (datetime.now(timezone.utc) - timedelta(days=days)).isoformat(timespec="seconds")
    store.write(Record(id, status, created=created))
    folder = store.run_dir(id)
    (folder / "checkpoints").mkdir()
    for name in ("last.ckpt", "best.ckpt"):
        (folder / "checkpoints" / name).write_bytes(b"0" * 1500)
    for name in KEPT[1:]:
        (folder / name).write_text("x: 1\n")


@pytest.fixture
def store(tmp_path, paribus, monkeypatch):
    """An old run of an ablation of the user's own, two of a recent sweep, a new one, and three others."""
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\nablation:\n  name: mine\n  factors: {loss: [mse, softmax_mse]}\n"
        "  tune: {optimizer.lr: [0.3]}\n  seeds: {tune: 1, report: 1}\n"
    )
    assert {"mine", "examples/demo"} <= set(all_names())
    monkeypatch.setattr("paribus.evidence.needed.all_names", lambda: ["mine"])  # the others take their time
    store = Store(tmp_path / "outputs")
    [plan] = plan_command(["ablation=mine"], store.read)
    write(store, plan.cells[0].id, 99)
    for id in ("swept", "tuned", "old", "interrupted", "busy"):
        write(store, id, 20, "running" if id in ("interrupted", "busy") else "done")
    write(store, "new", 1)
    sweep = tmp_path / "outputs" / "sweeps" / "x"
    sweep.mkdir(parents=True)
    plan = {"name": "x", "keys": [], "arms": {"a": ["swept"]}, "tuning": ["tuned"]}
    (sweep / "sweep.json").write_text(json.dumps({"plans": [plan]}))
    return store


def checkpoints(store):
    return {path.parents[1].name for path in store.runs.glob("*/checkpoints/last.ckpt")}


def test_what_nothing_needs_is_listed_and_removed_when_asked(paribus, store):
    everything = checkpoints(store)
    with store.lock("busy"):
        looked = paribus("gc", "--dry-run", "--keep", "0")
        assert looked.code == 0, looked.err
        assert sorted(line.split()[0] for line in looked.out.splitlines()[:2]) == ["interrupted", "old"]
        assert "2 runs, 6 kB: in no ablation file (mine) and no sweep of the last 14d" in looked.out
        assert "interrupted runs start from the beginning" in looked.out
        assert "finished runs that lose their weights: 1. Curvature, landscape and further metrics" in looked.out
        assert checkpoints(store) == everything

        unanswered = paribus("gc")
        assert unanswered.code == 2
        assert "--yes" in unanswered.err
        assert checkpoints(store) == everything

        done = paribus("gc", "--yes", "--keep", "0")
        assert "removed the checkpoints of 2 runs, 6 kB" in done.out
    assert checkpoints(store) == everything - {"old", "interrupted"}
    for id in ("old", "interrupted"):
        assert {path.name for path in store.run_dir(id).iterdir()} == set(KEPT)
    assert store.read("old").status == "done"


def test_small_final_weights_of_finished_runs_stay_unless_they_are_to_go(paribus, store):
    looked = paribus("gc", "--dry-run")
    assert looked.code == 0, looked.err
    assert "3 runs, 7.5 kB: in no ablation file" in looked.out
    assert "the final weights of 1 of them stay (1.5 kB more), since they are small (--keep)" in looked.out
    assert "lose their weights" not in looked.out
    assert paribus("gc", "--yes").code == 0
    assert [path.name for path in (store.run_dir("old") / "checkpoints").iterdir()] == ["last.ckpt"]
    assert not (store.run_dir("interrupted") / "checkpoints").exists()
    large = paribus("gc", "--dry-run", "--keep", "0.001")  # a kB
    assert "finished runs that lose their weights: 1." in large.out


def test_it_asks_on_a_terminal(paribus, store, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in (False, True):
        monkeypatch.setattr("click.confirm", lambda question, answer=answer: "9 kB" in question and answer)
        before = checkpoints(store)
        assert paribus("gc", "--keep", "0").code == 0
        assert (checkpoints(store) == before) is not answer


def test_a_run_that_is_taken_up_meanwhile_is_left_alone(paribus, store, monkeypatch):
    with store.lock("old"):
        monkeypatch.setattr("paribus.store.store.Store.is_locked", lambda self, id: False)
        result = paribus("gc", "--yes", "--keep", "0")
    assert "old is being trained again, so its checkpoints are kept" in result.out
    assert "old" in checkpoints(store)


def test_nothing_to_remove(paribus, monkeypatch):
    monkeypatch.setattr("paribus.evidence.needed.all_names", lambda: [])
    assert "every checkpoint is needed" in paribus("gc").out


def test_an_ablation_file_that_can_not_be_read_protects_everything(paribus, store, tmp_path, monkeypatch):
    monkeypatch.setattr("paribus.evidence.needed.all_names", lambda: ["broken", "mine"])
    (tmp_path / "conf" / "ablation" / "broken.yaml").write_text(
        "# @package _global_\n# Broken.\nablation: {name: broken, factors: {losss: [mse, softmax_mse]}, seeds: 1}\n"
    )
    before = checkpoints(store)
    result = paribus("gc", "--yes")
    assert result.code == 2
    assert "ablation=broken" in result.err
    assert checkpoints(store) == before

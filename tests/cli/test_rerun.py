"""`paribus rerun`: the same weights again, bit for bit, or the first difference."""

import json
import os

import pytest
import torch

from paribus.store.record import Record
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=3"]


@pytest.fixture
def run(paribus, tmp_path):
    done = paribus("train", *QUICK, "callbacks=[default,ema]", "augmentation=mixup")
    assert done.code == 0, done.err
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    return store, record


def test_a_run_is_bit_identical_until_something_is_changed(paribus, run, tmp_path, monkeypatch):
    store, record = run
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    folder = store.run_dir(record.id)
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    same = paribus("rerun", record.id[:6])
    assert same.code == 0, same.err
    assert [line.partition("(")[0] for line in same.out.splitlines()] == ["history ", "final weights ", "metrics "]
    assert all(line.endswith(": identical") for line in same.out.splitlines())
    # The run itself is as it was, and nothing else is left.
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before
    assert not list((tmp_path / "temporary").iterdir())

    # The smallest change of one weight, of one loss and of one metric.
    path = folder / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    name = next(name for name, value in content["state_dict"].items() if value.is_floating_point())
    flat = content["state_dict"][name].view(-1)
    flat[0] = torch.nextafter(flat[0], torch.tensor(9.0))
    torch.save(content, path)
    lines = (folder / "history.csv").read_text().splitlines()
    columns = lines[0].split(",")
    row = lines[2].split(",")
    row[columns.index("train/loss")] = "0.125"
    (folder / "history.csv").write_text("\n".join([*lines[:2], ",".join(row), *lines[3:]]) + "\n")
    record.metrics["test/acc"] += 1e-12
    assert "history.csv must be as it was" in paribus("rerun", record.id).err
    record.checksums = {}  # as records of before
    store.write(record)
    with pytest.raises(SystemExit) as stop:
        paribus("rerun", record.id)
    assert stop.value.code == 1


def test_what_differs_is_said(run):
    from paribus.run import rerun

    _, record = run
    weights = {"a": torch.tensor([1.0, float("nan")]), "b": torch.tensor([1.0])}
    assert rerun.weights(weights, {name: value.clone() for name, value in weights.items()}).difference is None
    assert rerun.weights(weights, {**weights, "b": torch.tensor([1.5])}).difference == "b by up to 0.5"
    assert "another shape" in rerun.weights(weights, {**weights, "b": torch.ones(2)}).difference
    old = {"epoch": [1.0, 2.0], "step": [3.0, 6.0], "seconds": [0.1, 0.2], "train/loss": [0.5, float("nan")]}
    assert rerun.histories(old, {**old, "seconds": [9.0, 9.9]}).difference is None
    other = rerun.histories(old, {**old, "train/loss": [0.5, 0.25]})
    assert other.difference == "at step 6, train/loss: nan then, 0.25 now"
    assert "2 rows then, 1 now" in rerun.histories(old, {name: values[:1] for name, values in old.items()}).difference
    assert rerun.metrics({"a": 1.0}, {"a": 2.0}).difference == "a: 1.0 then, 2.0 now"
    assert "b is in one" in rerun.metrics({"a": 1.0}, {"a": 1.0, "b": 1.0}).difference
    record.provenance["versions"]["torch"] = "1.0"
    assert any(line.startswith("torch 1.0 then, ") for line in rerun.changes(record))
    assert not any("stack" in line for line in rerun.changes(record))
    del record.provenance["segments"]  # of an earlier version
    record.timing |= {"stack": 8, "steps": 100}
    said = "it was not trained alone (updates 0 to 100 in a stack of 8), and stacks round differently"
    assert any(line.startswith(said) for line in rerun.changes(record))
    record.provenance["segments"] = [{"from": 0, "to": 40, "stack": 8}, {"from": 40, "to": 100, "stack": 1}]
    said = "it was not trained alone (updates 0 to 40 in a stack of 8, updates 40 to 100 alone), and"
    assert any(line.startswith(said) for line in rerun.changes(record))
    segments = [{"from": 0, "to": 40, "stack": 1, "threads": 2}, {"from": 40, "to": 100, "stack": 1, "threads": 1}]
    record.provenance["segments"] = segments
    assert "it was interrupted, and trained with threads 2 and then 1" in rerun.changes(record)


def test_runs_that_can_not_be_compared(paribus, run, tmp_path):
    store, record = run
    store.write(Record(id="unfinished", status="running"))
    result = paribus("rerun", "unfinished")
    assert result.code == 2
    assert "Train it first" in result.err
    config = store.run_dir(record.id) / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 2"))
    assert "config.yaml must be as it was" in paribus("rerun", record.id).err
    record.checksums = {}  # as records of before
    store.write(record)
    result = paribus("rerun", record.id)
    assert result.code == 2
    assert "was edited" in result.err
    assert json.loads((store.run_dir(record.id) / "record.json").read_text())["status"] == "done"
    assert os.listdir(tmp_path) == ["outputs"]

"""`paribus rerun`: the same weights again, bit for bit, or the first difference."""

import json
import os

import pytest
import torch

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.restored import with_secrets
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


NET = """
import math
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, num_outputs, norm=None, url="", api_key="", note=""):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), num_outputs))
        assert url in ("", "https://me:hunter2hunter2@host/x", "https://hunter3hunter3@host/x"), url

    def forward(self, x):
        return self.layers(x)
"""
SECRETS = {"STORE_TOKEN": "hunter2hunter2", "MODEL_KEY": "unrelated-secret", "MY_API_KEY": "12345678"}


@pytest.fixture
def secretive(paribus, tmp_path, monkeypatch):
    """Trains a run whose configuration holds secrets; its store and its record."""
    (tmp_path / "secretive_net.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    def train(*more):
        own = ["model._target_=secretive_net.Net", "~model.width", "~model.depth", "~model.activation", "norm=none"]
        line = [item for item in QUICK if item != "model.width=8"]
        done = paribus("train", *line, *own, *more)
        assert done.code == 0, done.err
        store = Store(tmp_path / "outputs")
        [record] = store.scan()
        assert "hunter" not in (store.run_dir(record.id) / "config.yaml").read_text()
        return store, record

    return train


def test_secrets_come_from_the_variables_that_gave_them(secretive, paribus, monkeypatch):
    given = ["+model.url='https://me:${oc.env:STORE_TOKEN}@host/x'", "+model.api_key=12345678", "+model.note=x"]
    store, record = secretive(*given)
    config = store.config(record.id)["model"]
    assert config["url"] == "https://me:${oc.env:STORE_TOKEN}@host/x"
    assert config["api_key"] == "${oc.env:MY_API_KEY}"
    again = paribus("rerun", record.id)
    assert again.code == 0, again.err
    assert again.out.count(": identical") == 3
    assert "hunter" not in again.out + again.err

    monkeypatch.setenv("STORE_TOKEN", "hunter4hunter4")
    again = paribus("rerun", record.id)
    assert again.code == 2
    assert "STORE_TOKEN, which gave model.url, has another value now" in again.err
    monkeypatch.delenv("STORE_TOKEN")
    again = paribus("rerun", record.id)
    assert again.code == 2
    assert "set STORE_TOKEN, which gave model.url" in again.err


def test_secrets_that_no_variable_gave_are_looked_for_in_the_environment(secretive, paribus, monkeypatch):
    _, record = secretive("+model.url='https://hunter3hunter3@host/x'", "+model.api_key=hunter5hunter5")
    again = paribus("rerun", record.id)
    assert again.code == 2
    assert "set a variable such as API_KEY to what *** stands for in model.api_key=***" in again.err
    assert "a variable such as URL_TOKEN to what *** stands for in model.url=https://***@host/x" in again.err
    monkeypatch.setenv("API_KEY", "hunter5hunter5")
    monkeypatch.setenv("URL_TOKEN", "hunter3hunter3")
    again = paribus("rerun", record.id)
    assert again.code == 0, again.err


def test_a_strangers_record_is_given_nothing(monkeypatch):
    """Not by what changes its id, and not beside it: labels, for example, are no part of the identity."""
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    own = Run.parse(resolved(load([*QUICK, "+model.key=${oc.env:MY_TOKEN}"])))
    asks = own.but({"model.key": "${oc.env:MY_TOKEN}", "tags": ["${oc.env:MY_TOKEN}"]})
    with pytest.raises(UserError, match=r"MY_TOKEN, which gave model\.key, has another value now"):
        with_secrets(asks, "0123456789abcdef")
    assert with_secrets(asks, asks.id) is asks
    found = with_secrets(asks, own.id)
    assert found.id == own.id
    assert (found.model["key"], list(found.tags)) == ("hunter2hunter2", ["${oc.env:MY_TOKEN}"])

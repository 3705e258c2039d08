"""Full disks, read-only folders, damaged files: noticed, named, recomputed, never silently used."""

import json
import resource
import subprocess
import sys

import pytest
import torch

from paribus.base import atomic
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=16", "data.subset=100", "data.batch_size=20", "budget.epochs=3"]


def only_run(folder):
    [run] = (folder / "outputs" / "runs").iterdir()
    return run


def results(run):
    """What a run must come out with, whatever happened to it on the way."""
    rows = [line.split(",") for line in (run / "history.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return (
        json.loads((run / "record.json").read_text())["metrics"],
        [row[:seconds] + row[seconds + 1 :] for row in rows],
        {key: value.tolist() for key, value in weights.items()},
    )


@pytest.fixture
def interrupted(paribus, tmp_path):
    """A finished run whose record says that it is running: as if it was killed just before its end."""
    assert paribus("train", *QUICK).code == 0
    run = only_run(tmp_path)
    before = results(run)
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps({**record, "status": "running", "metrics": {}}))
    return run, before


@pytest.mark.parametrize("damage", ["truncated", "empty", "other"])
def test_a_damaged_checkpoint(paribus, interrupted, damage):
    run, before = interrupted
    path = run / "checkpoints" / "last.ckpt"
    if damage == "other":
        torch.save({"state_dict": {}}, path)  # loads, but is no checkpoint of ours
    else:
        path.write_bytes(path.read_bytes()[: 1000 if damage == "truncated" else 0])
    assert paribus("train", *QUICK).code == 0
    assert (run / "checkpoints" / "last.damaged").exists()
    assert "last.ckpt can't be read" in (run / "train.log").read_text()
    assert results(run) == before


@pytest.mark.parametrize(
    "damage",
    [lambda text: "", lambda text: text.replace("\n2,", "\ntwo,x,"), lambda text: text[: text.rfind("\n2,") + 1]],
)
def test_a_damaged_history(paribus, interrupted, damage):
    run, before = interrupted
    path = run / "history.csv"
    path.write_text(damage(path.read_text()))
    assert paribus("train", *QUICK).code == 0
    assert "history.csv" in (run / "train.log").read_text()
    assert (run / "checkpoints" / "last.damaged").exists()
    assert results(run) == before


def test_a_damaged_record(paribus, interrupted):
    run, before = interrupted
    (run / "record.json").write_text('{"id": ')
    with pytest.warns(UserWarning, match=r"record\.json can't be used"):
        assert paribus("train", *QUICK).code == 0
    assert results(run) == before


def test_a_disk_that_is_full_when_a_checkpoint_is_written(paribus, tmp_path, monkeypatch):
    assert paribus("train", *QUICK, "paths.outputs=whole").code == 0
    [whole] = (tmp_path / "whole" / "runs").iterdir()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)  # of checkpoint, history and record alike
        result = paribus("train", *QUICK)
    assert result.code == 1
    assert "storage: " in result.err
    assert "No space left on device" in result.err
    assert "Traceback" not in result.err
    assert not list(tmp_path.glob("outputs/**/*.tmp"))
    run = only_run(tmp_path)
    assert not (run / "checkpoints" / "last.ckpt").exists()
    record = Store(tmp_path / "outputs").read(run.name)
    assert record is None or record.status not in ("done", "diverged")
    assert paribus("train", *QUICK).code == 0
    assert results(run) == results(whole)


def test_a_sweep_on_a_disk_that_takes_no_checkpoint(tmp_path):
    """The kernel refuses files of more than 20,000 bytes: records fit, checkpoints do not."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    command = [sys.executable, "-m", "paribus", "train", "-m", *QUICK, "seed=0"]
    done = subprocess.run(command, cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "storage" in done.stderr
    record = Store(tmp_path / "outputs").read(only_run(tmp_path).name)
    assert record.status == "failed"
    assert record.failure["type"] == "storage"


@pytest.mark.parametrize("command", [["train"], ["train", "-m", "seed=0,1"]])
def test_a_read_only_folder(paribus, command):
    """/sys takes no folder of anybody's, not even of root's."""
    result = paribus(command[0], *command[1:], *QUICK, "paths.outputs=/sys/paribus")
    assert result.code == 2
    assert "/sys/paribus" in result.err
    assert "paths.outputs" in result.err
    assert "Traceback" not in result.err

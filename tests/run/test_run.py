"""The record of a run: it is not trained twice, and it resumes where it was killed."""

import csv
import json
import re
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml

from paribus.base.errors import UserError
from paribus.run.execute import train
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=16", "data.subset=100", "data.batch_size=20", "budget.epochs=2"]


def only_run(folder: Path) -> Path:
    [run] = (folder / "outputs" / "runs").iterdir()
    return run


def test_a_run_leaves_a_whole_record(paribus, tmp_path):
    result = paribus("train", *QUICK)
    assert result.code == 0, result.err
    run = only_run(tmp_path)
    record = Store(tmp_path / "outputs").read(run.name)
    assert record is not None
    assert record.status == "done"
    assert record.choices["norm"] == "batch"
    assert record.choices["model.width"] == 16
    assert record.seed == 0
    for key in (
        "train/loss",
        "train/acc",
        "val/loss",
        "val/acc",
        "val/acc_best",
        "test/acc",
        "test/loss",
        "test/ece",
    ):
        assert key in record.metrics
    assert {"lr", "grad_norm"} <= set(record.metrics)
    assert record.timing["steps"] == 10
    assert record.provenance["command"].startswith("paribus train model=mlp")
    assert record.evaluated == "last"
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["width"] == 16
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["5", "10"]
    for name in ("last.ckpt", "best.ckpt"):
        torch.load(run / "checkpoints" / name, weights_only=True)


def test_the_same_command_trains_nothing_and_says_so(paribus, tmp_path):
    paribus("train", *QUICK)
    written = (only_run(tmp_path) / "record.json").stat().st_mtime_ns
    again = paribus("train", *QUICK, "logger=csv", "tags=[b]")
    assert again.code == 0
    assert "done already" in again.err
    assert (only_run(tmp_path) / "record.json").stat().st_mtime_ns == written


def test_evaluate_gives_the_recorded_metrics_exactly(paribus, tmp_path):
    paribus("train", *QUICK, "callbacks=[default,ema]", "norm=spectral")
    result = paribus("evaluate", only_run(tmp_path).name[:6])
    assert result.code == 0, result.err
    assert result.out.count("as recorded") == 3


@pytest.mark.parametrize(
    "option", ["evaluation.checkpoint=best", "optimizer=schedulefree_adamw", "trainer.precision=64-true"]
)
def test_evaluate_takes_the_weights_that_the_run_was_tested_with(paribus, tmp_path, option):
    paribus("train", *QUICK, option)
    result = paribus("evaluate", only_run(tmp_path).name)
    assert result.code == 0, result.err


def test_a_bad_checkpoint_is_named(paribus, tmp_path):
    paribus("train", *QUICK)
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(b"no checkpoint")
    result = paribus("evaluate", only_run(tmp_path).name, "--checkpoint", str(bad))
    assert result.code == 2
    assert "bad.ckpt" in result.err
    assert "Traceback" not in result.err


def test_divergence_is_a_result(paribus, tmp_path):
    result = paribus("train", *QUICK, "loss=mse", "norm=none", "optimizer.lr=1e6")
    assert result.code == 0, result.err
    record = Store(tmp_path / "outputs").read(only_run(tmp_path).name)
    assert record is not None
    assert record.status == "diverged"
    assert "test/acc" not in record.metrics


def test_divergence_is_no_bug_of_an_optimizer_that_decomposes_matrices(paribus, tmp_path):
    """It raises in the middle of an epoch, for what is not finite any more."""
    varied = ["optimizer=shampoo", "loss=mse", "norm=none", "optimizer.lr=1e6", "data.batch_size=1"]
    result = paribus("train", *(item for item in QUICK if "batch_size" not in item), *varied)
    assert result.code == 0, result.err
    record = Store(tmp_path / "outputs").read(only_run(tmp_path).name)
    assert record is not None
    assert record.status == "diverged"


def test_a_bug_is_recorded_as_a_failure_and_tried_again(paribus, tmp_path, monkeypatch):
    from paribus.run.loop import Loop

    def broken(self):
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "on_train_epoch_end", broken)
        with pytest.raises(ZeroDivisionError):
            paribus("train", *QUICK)
    content = json.loads((only_run(tmp_path) / "record.json").read_text())
    assert content["status"] == "failed"
    assert content["failure"] == {"type": "bug", "message": "ZeroDivisionError: a bug"}
    assert paribus("train", *QUICK).code == 0
    assert json.loads((only_run(tmp_path) / "record.json").read_text())["status"] == "done"


def test_a_damaged_checkpoint_is_put_aside(paribus, tmp_path):
    paribus("train", *QUICK)
    run = only_run(tmp_path)
    (run / "record.json").unlink()
    checkpoint = run / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert paribus("train", *QUICK).code == 0
    assert (run / "checkpoints" / "last.damaged").exists()
    assert "does not resume from it" in (run / "train.log").read_text()


def test_a_run_that_is_being_trained_is_left_alone(paribus, tmp_path, compose):
    from paribus.config.identity import run_id

    store = Store(tmp_path / "outputs")
    with store.lock(run_id(compose(*QUICK))):
        result = paribus("train", *QUICK)
    assert result.code == 2
    assert not list((tmp_path / "outputs" / "runs").glob("*/record.json"))


ENDS = {
    "budget": ["budget.epochs=2"],
    "divergence": ["loss=mse", "norm=none", "optimizer.lr=1e6"],
    "early stopping": ["callbacks=[default,early_stopping]", "optimizer.lr=1e-9", "budget.epochs=60"],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_killed_between_its_last_checkpoint_and_its_record_is_not_trained_on(paribus, tmp_path, end):
    command = ("train", *QUICK[:-1], "budget.epochs=2", *ENDS[end])
    command = tuple(dict((item.partition("=")[0], item) for item in command).values())
    assert paribus(*command).code == 0
    run = only_run(tmp_path)
    record, history = json.loads((run / "record.json").read_text()), (run / "history.csv").read_text()
    assert end != "early stopping" or record["timing"]["epochs"] < 60
    for _ in range(2):  # it may be killed there again
        (run / "record.json").write_text(json.dumps({**record, "status": "running", "metrics": {}, "timing": {}}))
        assert paribus(*command).code == 0
        again = json.loads((run / "record.json").read_text())
        assert again["status"] == record["status"]
        assert again["metrics"] == record["metrics"]
        assert again["timing"]["steps"] == record["timing"]["steps"]
        assert (run / "history.csv").read_text() == history


LONG = [
    "model=mlp",
    "model.width=16",
    "norm=[batch,weight]",
    "augmentation=mixup",
    "scheduler=cosine",
    "callbacks=[default,ema]",
    "callbacks.checkpoints.every_seconds=0.05",
    "data.batch_size=4",
    "budget.updates=2100",  # not a whole number of epochs
    "trainer.threads=1",
]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(only_run(folder) / "checkpoints" / "last.ckpt", weights_only=True)
    return {**content["state_dict"], **{f"ema.{k}": v for k, v in content["evaluation_weights"].items()}}


def history(folder: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((only_run(folder) / "history.csv").read_text().splitlines()))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(commands, tmp_path, how):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    command = ["train", *LONG]
    assert commands.run(tmp_path / "whole", *command).code == 0

    process = commands.start(tmp_path / "killed", *command)
    runs = tmp_path / "killed" / "outputs" / "runs"
    deadline = time.monotonic() + 60
    while not list(runs.glob("*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.wait().out
        time.sleep(0.005)
    process.send_signal(how)
    ended = process.wait(60)
    assert ended.code == (130 if how == signal.SIGINT else -how), ended.out
    partial = torch.load(only_run(tmp_path / "killed") / "checkpoints" / "last.ckpt", weights_only=True)
    assert 0 < partial["paribus"]["cursor"]["step"] < 2100
    assert commands.run(tmp_path / "killed", *command).code == 0

    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)
    assert history(tmp_path / "whole") == history(tmp_path / "killed")
    records = [json.loads((only_run(tmp_path / name) / "record.json").read_text()) for name in ("whole", "killed")]
    assert records[0]["metrics"] == records[1]["metrics"]


@pytest.mark.parametrize("statistics", ["recomputed", "batch"])
def test_batch_norm_can_evaluate_with_other_statistics_and_evaluate_says_the_same(paribus, tmp_path, statistics):
    command = ["train", "model=mlp", "model.width=16", "data.subset=200", "data.batch_size=20", "budget.epochs=2"]
    moving = paribus(*command)
    other = paribus(*command, f"evaluation.statistics={statistics}", "evaluation.batch_size=32")
    assert moving.code == other.code == 0, other.err
    found = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("outputs/runs/*/record.json")}
    first, second = found.values()
    assert first["metrics"]["train/loss"] == second["metrics"]["train/loss"]  # it changes no weight
    assert first["metrics"]["test/loss"] != second["metrics"]["test/loss"]
    for id in found:
        again = paribus("evaluate", id)
        assert again.code == 0, again.err
        assert "recorded:" not in again.out


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer=ddp trainer.devices=2", "a run of 2 processes can't be trained within this process. Use"),
        ("members=list.json", "members=list.json lists the runs of a stack, but this command trains a single run"),
    ],
)
def test_what_needs_other_processes_is_refused_where_nobody_starts_them(run_of, tmp_path, override, said):
    """`paribus train` and launchers start them; the training entry by itself is one run in one process."""
    run = run_of(*QUICK, *override.split(), f"paths.outputs={tmp_path}")
    with pytest.raises(UserError, match=re.escape(said)):
        train(run, {}, [])
    assert not list(tmp_path.iterdir())

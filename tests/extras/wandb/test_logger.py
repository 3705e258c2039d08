"""W&B and the other loggers: a run of its own for each run, finished whatever happens, and never a reason to fail."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from paribus.extras.wandb.check import difference
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2", "logger=wandb"]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    yield
    wandb.teardown()


def test_each_run_of_a_sweep_has_its_own_offline_run(paribus, tmp_path):
    done = paribus("train", "-m", *QUICK, "norm=none,layer", "seed=0", "tags=[quick]")
    assert done.code == 0, done.err
    runs = sorted((tmp_path / "outputs" / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert json.loads((run / "record.json").read_text())["status"] == "done"
        [offline] = run.glob("wandb/offline-run-*")
        assert offline.name.endswith(run.name)  # its id is the run's id
        assert "paribus sync" in (run / "train.log").read_text()
    *_, word = done.err.splitlines()
    assert "W&B has not got 2 of these 2 runs: there is no key for https://api.wandb.ai" in word
    assert word.endswith("To upload: paribus sync")


def test_an_offline_run_says_what_its_record_says(paribus, tmp_path):
    """Read back by W&B's own reader: labels, configuration, every row of the history, and the final numbers."""
    result = paribus("train", *QUICK, "group=small", "arm=layer", "norm=layer", "tags=[quick]", "scheduler=cosine")
    assert result.code == 0, result.err
    assert "W&B has not got this run" in result.err.splitlines()[-1]
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    [file] = store.run_dir(record.id).glob("wandb/offline-run-*/*.wandb")
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(read, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    [run] = [entry["run"] for entry in entries if entry["type"] == "run" and "run_id" in entry["run"]][:1]
    assert (run["run_id"], run["run_group"], run["job_type"]) == (record.id, "small", "layer")
    assert run["display_name"] == "layer seed 0"
    assert run["tags"] == ["quick"]
    config = run["config"]["update"]
    assert config["optimizer"]["lr"] == 0.05
    assert config["choices"] == record.choices
    assert "paths" not in config
    rows = [entry["history"]["item"] for entry in entries if entry["type"] == "history"]
    assert all({"step", "epoch", "seconds"} <= set(row) for row in rows)
    summary = {}
    for entry in entries:
        if entry["type"] == "summary":
            summary.update(entry["summary"].get("update", {}))
    assert not difference(record, store.history(record.id), rows, summary)
    assert "val/acc_best" in summary
    assert [entry["exit"].get("exit_code", 0) for entry in entries if entry["type"] == "exit"] == [0]
    axes = {entry["metric"].get("name"): entry["metric"] for entry in entries if entry["type"] == "metric"}
    assert {"step", "epoch", "seconds"} <= set(axes)
    assert any(metric.get("step_metric") == "step" for metric in axes.values())


def test_tags_that_would_not_sync_are_refused_before_the_start(paribus, tmp_path):
    for command in (["train"], ["train", "-m", "norm=none,layer"]):
        result = paribus(*command, *QUICK, f"tags=[{'x' * 65}]")
        assert result.code == 2
        assert "64 characters" in result.err
        assert not (tmp_path / "outputs" / "runs").exists()


@pytest.mark.parametrize("option", ["mode=maybe", "wait=0", "project=a/b"])
def test_options_that_cannot_be(paribus, tmp_path, option):
    result = paribus("train", *QUICK, f"logger.wandb.{option}")
    assert result.code == 2
    assert f"logger.wandb.{option.partition('=')[0]}" in result.err


def test_a_run_that_cannot_start_leaves_no_wandb_run_behind(paribus, monkeypatch, tmp_path):
    """The second logger fails after W&B has begun."""
    from paribus.extras.wandb.logger import SafeWandbLogger
    from paribus.run import loggers

    finished = []
    finish = SafeWandbLogger.conclude
    monkeypatch.setattr(
        SafeWandbLogger, "conclude", lambda self, code, _: (finished.append(code), finish(self, code, {}))
    )

    def fail(**_):
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr(loggers, "TensorBoardLogger", fail)
    result = paribus("train", *QUICK[:-1], "logger=[wandb,tensorboard]")
    assert result.code == 2
    assert "paribus[tensorboard]" in result.err
    assert finished == [1]


def test_a_wandb_that_cannot_start_does_not_stop_the_training(paribus, tmp_path, monkeypatch):
    import wandb

    def refuse(*_, **__):
        raise RuntimeError("service unavailable")

    monkeypatch.setattr(wandb, "init", refuse)
    result = paribus("train", *QUICK)
    assert result.code == 0, result.err
    [record] = tmp_path.glob("outputs/runs/*/record.json")
    assert json.loads(record.read_text())["status"] == "done"
    assert "service unavailable" in (record.parent / "train.log").read_text()


def test_a_wandb_that_breaks_in_the_middle_is_reported_once(paribus, tmp_path, monkeypatch):
    import wandb

    class Broken:
        id = "x"
        resumed = False
        finished = []
        settings = SimpleNamespace(sync_dir="offline-run")

        def define_metric(self, *_, **__):
            pass

        def log(self, *_, **__):
            raise ConnectionError("gone")

        def finish(self, exit_code=None):
            Broken.finished.append(exit_code)

        @property
        def config(self):
            return self

        def update(self, *_, **__):
            pass

        def __getattr__(self, name):
            return None

    monkeypatch.setattr(wandb, "init", lambda **_: Broken())
    result = paribus("train", *QUICK)
    assert result.code == 0, result.err
    [record] = tmp_path.glob("outputs/runs/*/record.json")
    assert json.loads(record.read_text())["status"] == "done"
    assert (record.parent / "train.log").read_text().count("W&B stopped logging") == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_wandb_run_is_finished_whatever_happens(paribus, monkeypatch, fails):
    """A bare finish would mark a crashed run as finished (wandb#4591)."""
    from paribus.extras.wandb.logger import SafeWandbLogger
    from paribus.run.loop import Loop

    seen = []
    finish = SafeWandbLogger.conclude
    monkeypatch.setattr(
        SafeWandbLogger,
        "conclude",
        lambda self, code, summary: (seen.append((code, summary["status"])), finish(self, code, summary)),
    )
    if fails:

        def broken(self):
            raise ZeroDivisionError

        monkeypatch.setattr(Loop, "on_train_epoch_end", broken)
        with pytest.raises(ZeroDivisionError):
            paribus("train", *QUICK)
    else:
        assert paribus("train", *QUICK).code == 0
    assert seen == [(1, "failed") if fails else (0, "done")]


def test_csv_and_tensorboard_write_into_the_runs_folder(paribus, tmp_path):
    result = paribus(
        "train",
        *QUICK[:-1],
        "logger=[csv,tensorboard]",
        "callbacks=[default,grad_monitor,lr_monitor]",
        "callbacks.grad_monitor.every=2",
    )
    assert result.code == 0, result.err
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    header = (run / "csv" / "metrics.csv").read_text().splitlines()[0]
    for column in ("val/acc", "test/acc", "lr/0", "momentum/0", "update_ratio/", "grad_norm/"):
        assert column in header
    assert list((run / "tensorboard").glob("events*"))


@pytest.mark.parametrize(("said", "found"), [("offline", 1), ("dryrun", 1), ("disabled", 0)])
def test_the_environment_says_the_mode(paribus, tmp_path, monkeypatch, said, found):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_MODE", said)
    result = paribus("train", *QUICK)
    assert result.code == 0, result.err
    [log] = tmp_path.glob("outputs/runs/*/train.log")
    assert "W&B could not" not in log.read_text()
    assert len(list(tmp_path.glob("outputs/runs/*/wandb/offline-run-*"))) == found

"""W&B and the other loggers: a run of its own for each run, finished whatever happens, and never a reason to fail."""

import json
import os
import subprocess
import sys

import pytest

from paribus.errors import UserError
from paribus.train.loggers import wandb_logger

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2", "logger=wandb"]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", os.devnull)


def test_each_run_of_a_sweep_has_its_own_offline_run(tmp_path):
    command = [sys.executable, "-m", "paribus", "train", "-m", *QUICK, "norm=none,layer", "seed=0", "tags=[quick]"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = sorted((tmp_path / "outputs" / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert json.loads((run / "record.json").read_text())["status"] == "done"
        [offline] = run.glob("wandb/offline-run-*")
        assert offline.name.endswith(run.name)  # its id is the run's id
        said = "wandb sync"
        assert said in (run / "train.log").read_text()


def test_tags_that_would_not_sync_are_refused_before_the_start(tmp_path):
    run = {"id": "a", "arm": None, "seed": 0, "tags": ["x" * 65], "group": None, "config": {}}
    with pytest.raises(UserError, match="64 characters, got one of 65"):
        wandb_logger(run, tmp_path, project="paribus")


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
        finished = []

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
    import wandb

    from paribus.task.classification import Classification

    codes = []
    finish = wandb.finish
    monkeypatch.setattr(wandb, "finish", lambda exit_code=None: (codes.append(exit_code), finish(exit_code=exit_code)))
    if fails:

        def broken(self):
            raise ZeroDivisionError

        monkeypatch.setattr(Classification, "on_train_epoch_end", broken)
        with pytest.raises(ZeroDivisionError):
            paribus("train", *QUICK)
    else:
        assert paribus("train", *QUICK).code == 0
    assert codes == [int(fails)]
    assert wandb.run is None


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

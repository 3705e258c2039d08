"""Sweeps and ablations from the command line to the table."""

import csv
import io
import json

import pytest

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1"]


def test_a_plain_sweep_trains_what_is_missing_and_can_be_tabled(paribus, tmp_path):
    sweep = ["train", "-m", *QUICK, "norm=none,layer", "seed=range(2)"]
    first = paribus(*sweep)
    assert first.code == 0, first.err
    assert "2 arms, 4 runs: 0 done, 4 to train" in first.err
    assert len(list(tmp_path.glob("outputs/runs/*/record.json"))) == 4
    again = paribus(*sweep[:-1], "seed=range(3)")
    assert "4 done, 2 to train" in again.err

    rows = list(csv.DictReader(io.StringIO(paribus("table", "--format", "csv", "--metric", "test/acc").out)))
    assert [row["arm"] for row in rows] == ["none", "layer"]
    assert {row["n"] for row in rows} == {"3"}
    assert "| layer" in paribus("table").out
    assert "\\toprule" in paribus("table", "--format", "latex").out
    assert "layer" in paribus("table", "--by", "norm").out


def test_records_of_a_sweep_know_their_group_and_arm(paribus, tmp_path):
    paribus("train", "-m", *QUICK, "norm=none,layer")
    arms = {json.loads(path.read_text())["arm"] for path in tmp_path.glob("outputs/runs/*/record.json")}
    assert arms == {"none", "layer"}


def test_what_can_not_work_is_named_before_anything_trains(paribus, tmp_path):
    sweep = ["train", "-m", *QUICK, "norm=none,instance,layer", "optimizer.lr=0.1,-1"]
    result = paribus(*sweep)
    assert result.code == 2
    assert "norm=instance, optimizer.lr=0.1: model=mlp with norm=instance" in result.err
    assert "norm=none, optimizer.lr=-1: optimizer.lr must be a number of at least 0, got -1" in result.err
    assert "hydra.sweeper.on_invalid=skip" in result.err
    assert not (tmp_path / "outputs" / "runs").exists()
    others = paribus(*sweep, "hydra.sweeper.on_invalid=skip")
    assert others.code == 0, others.err
    assert others.err.count("left out: ") == 4
    assert len(list(tmp_path.glob("outputs/runs/*/record.json"))) == 2


def test_tuning_and_reporting_are_one_command(paribus, tmp_path):
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "tuned.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /model: mlp\n"
        "model: {width: 8}\n"
        "data: {subset: 60, batch_size: 20}\n"
        "budget: {epochs: 1}\n"
        "ablation:\n"
        "  name: tuned\n"
        "  factors: {norm: [none, layer]}\n"
        "  tune: {optimizer.lr: [0.001, 0.05]}\n"
        "  seeds: {tune: 1, report: 2}\n"
        "  regimes: {F: {tune: false}, T: {}}\n"
    )
    result = paribus("train", "-m", "ablation=tuned")
    assert result.code == 0, result.err
    assert "tuned [F]: 2 arms, 4 runs: 0 done, 4 to train" in result.err
    assert "tuned [T]: 2 arms, 4 runs: 0 done, 4 to train, and more runs when these are tuned" in result.err
    assert "4 done" in paribus("plan", "ablation=tuned").out
    table = paribus("table", "ablation=tuned")
    assert table.code == 0, table.err
    assert table.out.count("| none") == 2
    assert "0 to train" in paribus("train", "-m", "ablation=tuned").err


@pytest.mark.slow
def test_an_ablation_of_the_users_own_folder(paribus, tmp_path):
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# @package _global_\n"
        "# Mine.\n"
        "defaults:\n  - override /model: mlp\n"
        "model: {width: 8}\n"
        "data: {subset: 60, batch_size: 20}\n"
        "budget: {epochs: 1}\n"
        "ablation:\n  name: mine\n  factors: {loss: [cross_entropy, mse]}\n  seeds: 2\n"
    )
    planned = paribus("plan", "ablation=mine")
    assert planned.code == 0, planned.err
    assert "4 runs, 0 done, 4 to train" in planned.out
    assert not (tmp_path / "outputs" / "runs").exists()
    assert paribus("train", "-m", "ablation=mine").code == 0
    table = paribus("table", "ablation=mine")
    assert table.code == 0, table.err
    assert "cross_entropy" in table.out
    assert paribus("figures", "ablation=mine", "-o", "pictures").code == 0
    assert (tmp_path / "pictures" / "learning_curves_epochs.png").stat().st_size > 10_000
    # The baseline of another ablation is the same run, and not trained again.
    (folder / "other.yaml").write_text(
        (folder / "mine.yaml").read_text().replace("mine", "other").replace("mse", "softmax_mse")
    )
    assert "4 runs: 2 done, 2 to train" in paribus("train", "-m", "ablation=other").err


@pytest.mark.needs("search")
def test_optuna_searches_over_recorded_runs(paribus, tmp_path):
    result = paribus(
        "train",
        "-m",
        "hparams_search=optuna",
        *QUICK,
        "hydra.sweeper.n_trials=2",
        "~hydra.sweeper.params.batch_size",
    )
    assert result.code == 0, result.err
    assert len(list(tmp_path.glob("outputs/runs/*/record.json"))) == 2

"""Metrics that are asked for later: from the kept weights, added to the record, and never by training again."""

import json
import shutil
import textwrap

import pytest

from paribus.store.store import Store

SMALL = ("model=mlp", "model.width=8", "norm=none", "data.subset=100", "data.validation=60", "budget.epochs=1")
ABLATION = """\
    # @package _global_
    ablation:
      name: own
      factors: {optimizer.lr: [0.05, 0.1]}
      seeds: 2
      metric: test/f1
    """


def records(folder):
    return {record.id: record for record in Store(folder / "outputs").scan()}


@pytest.fixture
def trained(paribus, tmp_path):
    result = paribus("train", "-m", *SMALL, "seed=0,1", "trainer.threads=1")
    assert result.code == 0, result.err
    return records(tmp_path)


def test_evaluate_adds_what_training_would_have_measured(paribus, tmp_path, trained):
    one, other = trained
    result = paribus("evaluate", "--metrics", "f1,auroc", one)
    assert result.code == 0, result.err
    assert "1 runs have new metrics" in result.out
    added = records(tmp_path)
    assert {"test/f1", "val/f1", "test/auroc", "val/auroc"} == {*added[one].metrics} - {*trained[one].metrics}
    assert added[one].declared["auroc"]["better"] == "higher"
    assert added[other].metrics == trained[other].metrics
    fresh = paribus("train", *SMALL, f"seed={trained[one].seed}", "trainer.threads=1", "metrics=[f1,auroc]",
                    "paths.outputs=fresh")  # fmt: skip
    assert fresh.code == 0, fresh.err
    [trained_with] = list(Store(tmp_path / "fresh").scan())
    assert trained_with.id == one
    for key in ("test/f1", "val/f1", "test/auroc", "val/auroc"):
        assert added[one].metrics[key] == trained_with.metrics[key]


def test_a_finished_run_is_not_trained_again_for_a_metric(paribus, tmp_path, trained):
    result = paribus("train", "-m", *SMALL, "seed=0,1", "trainer.threads=1", "metrics=f1")
    assert result.code == 0, result.err
    assert "2 finished runs were trained without a metric that is asked for" in result.err
    found = records(tmp_path)
    assert all("test/f1" in record.metrics for record in found.values())
    assert {id: record.finished for id, record in found.items()} == {id: r.finished for id, r in trained.items()}


def test_without_weights_a_run_is_named_and_stays_as_it_is(paribus, tmp_path, trained):
    for id in trained:
        shutil.rmtree(tmp_path / "outputs" / "runs" / id / "checkpoints")
    for line in (["train", "-m", *SMALL, "seed=0,1", "metrics=f1"], ["train", *SMALL, "seed=0", "metrics=f1"]):
        result = paribus(*line, "trainer.threads=1")
        assert result.code == 0, result.err
        assert "weights are not kept" in result.err
    result = paribus("evaluate", "--metrics", "f1", *trained)
    assert result.code == 2
    assert "2 runs stay without" in result.err
    assert records(tmp_path) == trained


def test_an_ablation_compares_any_declared_metric(paribus, tmp_path):
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "own.yaml").write_text(textwrap.dedent(ABLATION))
    line = ("ablation=own", *SMALL, "trainer.threads=1")
    refused = paribus("train", "-m", *line)
    assert refused.code == 2
    assert "Add metrics=f1" in refused.err
    result = paribus("train", "-m", *line, "metrics=f1")
    assert result.code == 0, result.err
    table = paribus("table", *line, "metrics=f1")
    assert table.code == 0, table.err
    assert "test F1 (%) ↑" in table.out
    assert "test accuracy (%)" in table.out
    lost = next(iter(records(tmp_path)))
    (tmp_path / "outputs" / "runs" / lost / "checkpoints" / "last.ckpt").rename(tmp_path / "last.ckpt")
    plan = paribus("plan", *line, "metrics=[f1,kappa]")
    assert "4 finished runs lack a metric that is asked for. Training computes it from their weights, and" in plan.out
    assert f"; 1 have none left and stay without it: {lost}" in plan.out
    (tmp_path / "last.ckpt").rename(tmp_path / "outputs" / "runs" / lost / "checkpoints" / "last.ckpt")
    later = paribus("evaluate", "--metrics", "f1,kappa", *line)
    assert later.code == 0, later.err
    assert "4 runs have new metrics" in later.out
    plan = paribus("plan", *line, "metrics=f1", "--json")
    assert json.loads(plan.out)["plans"][0]["metric"] == "test/f1"


def test_one_name_is_one_computation(paribus, tmp_path, trained):
    """A record holds one value of test/f1. Asked for with other arguments it must not pass for that."""
    one, _ = trained
    assert paribus("evaluate", "--metrics", "f1", one).code == 0
    ours = records(tmp_path)
    for line in (
        ["train", *SMALL, f"seed={trained[one].seed}", "trainer.threads=1", "metrics=f1", "metrics.f1.average=micro"],
        ["train", "-m", *SMALL, "seed=0,1", "trainer.threads=1", "metrics=f1", "metrics.f1.average=micro"],
    ):
        result = paribus(*line)
        assert result.code == 2
        assert 'it is torchmetrics.F1Score(average="micro") in the configuration and torchmetrics.F1S' in result.err
        assert "Give one of them a name of its own: '+metrics.f1_2={...}'" in result.err
    assert records(tmp_path) == ours
    refused = paribus("evaluate", "--metrics", "mape", one)
    assert refused.code == 2
    assert "metrics=mape is for task=regression, and this run has task=classification" in refused.err


def test_what_evaluate_does_not_take_is_said(paribus, trained):
    for line, said in (
        (["--metrics", "f11", next(iter(trained))], "metrics=f11 is not an option"),
        (["--metrics", "f1", "seed=0"], "evaluate takes runs, or ablation=NAME"),
        (["ablation=demo"], "nothing is asked for"),
        (["ablation=demo", next(iter(trained))], "is of single runs"),
    ):
        result = paribus("evaluate", *line)
        assert result.code == 2
        assert said in result.err

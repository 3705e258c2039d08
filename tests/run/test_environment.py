"""A result depends on no variable of the environment that the id does not hold."""

import os

import pytest

from paribus.store.store import Store

MODULE = ["task=lightning", "task.module={_target_: modules.Regressor}", "task.datamodule={_target_: modules.Data}",
          "task.metrics={mse: {better: lower}}", "task.monitor=val/mse"]  # fmt: skip


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(["model=mlp", "data.subset=100"], id="ours"),
        pytest.param(MODULE, id="lightning", marks=pytest.mark.needs("lightning")),
    ],
)
def test_a_single_run_leaves_the_variables_of_lightnings_trainer_alone(task, paribus, monkeypatch):
    def trained(outputs):
        done = paribus("train", *task, "budget.epochs=3", f"paths.outputs={outputs}")
        assert done.code == 0, done.err
        [record] = Store(outputs).scan()
        return record.id, record.metrics

    expected = trained("without")
    names = {"PL_TRAINER_MAX_STEPS": "1", "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1", "PL_TRAINER_GRADIENT_CLIP_VAL": "1e-6"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert trained("with") == expected
    assert {name: os.environ[name] for name in names} == names

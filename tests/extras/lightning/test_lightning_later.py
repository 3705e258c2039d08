"""`paribus evaluate --metrics` on a module: what its test logs beside what was logged after the training."""

import modules
import pytest

from paribus.store.store import Store

LINE = ("train", "task=lightning", "task.module={_target_: modules.Regressor}", "budget.epochs=1",
        "task.datamodule={_target_: modules.Data}", "task.metrics={mse: {better: lower}}", "task.monitor=val/mse",
        "callbacks=[checkpoints]")  # fmt: skip


@pytest.fixture
def run(paribus):
    assert paribus(*LINE).code == 0
    [record] = Store("outputs").scan()
    return record


def also_logs(monkeypatch, factor=1.0):
    def test_step(self, batch, batch_idx):
        self.log("test/mse", factor * self.step(batch))
        self.log("test/worst", (self.net(batch[0]) - batch[1]).abs().max(), reduce_fx="max")

    monkeypatch.setattr(modules.Regressor, "test_step", test_step)


def test_a_metric_that_the_module_logs_now_is_added(run, paribus, monkeypatch):
    also_logs(monkeypatch)
    result = paribus("evaluate", "--metrics", "worst", run.id)
    assert result.code == 0, result.err
    assert "1 runs have new metrics" in result.out
    [found] = Store("outputs").scan()
    assert found.metrics == {**run.metrics, "test/worst": pytest.approx(found.metrics["test/worst"])}
    assert found.metrics["test/worst"] ** 2 >= found.metrics["test/mse"]
    assert "1 had them" in paribus("evaluate", "--metrics", "worst,mse", run.id).out


def test_a_metric_that_it_does_not_log_and_a_module_that_has_changed(run, paribus, monkeypatch):
    result = paribus("evaluate", "--metrics", "f1", run.id)
    assert result.code == 2
    assert "its test logs no f1, but test/mse" in result.err
    also_logs(monkeypatch, factor=2.0)
    result = paribus("evaluate", "--metrics", "worst", run.id)
    assert result.code == 2
    assert "its test logs another test/mse than after the training, so its code or data have changed" in result.err
    assert [each.metrics for each in Store("outputs").scan()] == [run.metrics]

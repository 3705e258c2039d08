"""The group metrics=: right numbers, alone, in a stack and in several processes; nothing where nothing is asked for."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as truth

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved, user_errors
from paribus.config.run import Run
from paribus.run import build
from paribus.run.evaluate import reload
from paribus.store.store import Store
from paribus.tasks.measures import Measures

SMALL = ["model=mlp", "model.width=8", "norm=none", "data.subset=120", "data.validation=80", "budget.epochs=2"]
SMALL += ["trainer.threads=1"]
ASKED = ["metrics=[f1,precision,recall,auroc,top5,kappa]"]


def run_of(*overrides):
    with user_errors():
        return Run.parse(resolved(load([*SMALL, *overrides])))


def measures_of(*overrides):
    run = run_of(*overrides)
    return build.build_measures(run, build.build_setting(run))


def expected(record, store):
    """The same numbers by scikit-learn, from the weights that the run ended with."""
    reloaded = reload(record, store)
    batches = reloaded.data.evaluation_batches("test", 1000)
    with torch.no_grad():
        pairs = [(reloaded.network.eval()(x).float().softmax(1), y) for x, y in batches]
    p, y = torch.cat([p for p, _ in pairs]).numpy(), torch.cat([y for _, y in pairs]).numpy()
    guess, every = p.argmax(1), {"average": "macro", "zero_division": 0}
    return {
        "f1": truth.f1_score(y, guess, **every),
        "precision": truth.precision_score(y, guess, **every),
        "recall": truth.recall_score(y, guess, **every),
        "auroc": truth.roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr", average="macro"),
        "top5": np.mean([label in row for label, row in zip(y, np.argsort(-p)[:, :5], strict=True)]),
        "kappa": truth.cohen_kappa_score(y, guess),
    }


def only_record(folder):
    store = Store(folder)
    [record] = list(store.scan())
    return record, store


def test_the_numbers_are_those_of_scikit_learn_and_the_record_declares_them(paribus, tmp_path):
    result = paribus("train", *SMALL, *ASKED)
    assert result.code == 0, result.err
    record, store = only_record(tmp_path / "outputs")
    for name, value in expected(record, store).items():
        assert record.metrics[f"test/{name}"] == pytest.approx(value, abs=1e-6), name
        assert math.isfinite(record.metrics[f"val/{name}_best"])
    assert record.declared["auroc"] == {"better": "higher", "unit": "percent", "chance": 0.5}
    assert "val/f1" in store.history(record.id)
    again = paribus("evaluate", record.id)
    assert again.code == 0, again.err
    assert "test/f1" in again.out


def test_the_weights_and_the_id_are_the_same_with_and_without_them(paribus, tmp_path):
    assert paribus("train", *SMALL, "paths.outputs=with", *ASKED).code == 0
    assert paribus("train", *SMALL, "paths.outputs=without").code == 0
    ours, others = only_record(tmp_path / "with")[0], only_record(tmp_path / "without")[0]
    assert ours.id == others.id
    assert {key: ours.metrics[key] for key in others.metrics} == others.metrics
    assert "metrics" not in ours.choices


def test_in_a_stack_each_member_has_its_own(paribus, tmp_path):
    result = paribus("train", "-m", *SMALL, *ASKED, "seed=0,1,2", "stack=3")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    records = list(store.scan())
    assert [record.provenance["segments"][0].get("stack") for record in records] != [None] * 3
    for record in records:
        for name, value in expected(record, store).items():
            assert record.metrics[f"test/{name}"] == pytest.approx(value, abs=1e-6), name
        assert math.isfinite(record.metrics["val/f1"])
    assert len({record.metrics["test/auroc"] for record in records}) == 3


def test_processes_are_merged(paribus, tmp_path):
    result = paribus("train", *SMALL, *ASKED, "trainer=ddp_sim")
    assert result.code == 0, result.err
    record, store = only_record(tmp_path / "outputs")
    for name, value in expected(record, store).items():
        assert record.metrics[f"test/{name}"] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loss=scalar_mse", "metrics=auroc"], "gives no probabilities"),
        (["task=regression", "data=diabetes", "metrics=f1"], "metrics.f1 is a metric of classes"),
        (["metrics=mae"], "It is given probabilities of the shape (8, 10)"),
        (["metrics=f1", "metrics.f1.average=none"], "metrics.f1 must give one number"),
        (["metrics=r2", "metrics.r2.adjusted=-3"], "metrics.r2"),
        (["metrics=f1", "+metrics.f1.avrage=macro"], "Unexpected keyword arguments: `avrage`"),
        (["+metrics.mine._target_=torch.nn.Linear"], "metrics.mine._target_ must be a metric"),
        (["+metrics.mine._target_=my.own.Metric"], "metrics.mine: my.own.Metric needs the package my"),
        (["metrics=f11"], "metrics=f11 is not an option. Did you mean f1"),
        (["metrics=f1", "metrics.f1.better=up"], "metrics.f1.better must be"),
        (["+metrics.f1.better=higher"], "metrics.f1._target_"),
        (["evaluation.monitor=val/f1"], "metrics=f1"),
    ],
)
def test_what_can_not_be_measured_is_named_before_training(overrides, said):
    with pytest.raises(UserError) as caught:
        measures_of(*overrides)
    assert said in str(caught.value)


def test_a_loss_without_probabilities_has_what_needs_classes_only():
    run = run_of("loss=scalar_mse", "metrics=[f1,kappa]")
    assert build.build_measures(run, build.build_setting(run)) is not None


def test_regression_measures_numbers_in_the_units_of_the_data():
    run = run_of("task=regression", "data=diabetes", "metrics=[mse,pearson,mape]")
    setting = build.build_setting(run)
    build.build_data(run, setting)
    measures = build.build_measures(run, setting)
    outputs, y = torch.randn(20, 1, generator=torch.Generator().manual_seed(0)), torch.arange(20.0) + 1
    measures.begin(torch.device("cpu"))
    measures.update(outputs[:12], y[:12])
    measures.update(outputs[12:], y[12:])
    found, numbers = measures.compute(), setting.task.predict(outputs)[:, 0].numpy()
    assert found["mse"] == pytest.approx(truth.mean_squared_error(y, numbers), rel=1e-5)
    assert found["pearson"] == pytest.approx(np.corrcoef(y, numbers)[0, 1], abs=1e-5)
    assert found["mape"] == pytest.approx(truth.mean_absolute_percentage_error(y, numbers), rel=1e-5)


def test_what_the_task_measures_itself_is_not_measured_twice():
    run = run_of("task=regression", "metrics=[r2,mae]")
    assert run.measures == {}
    assert run.declared["mae"].better == "lower"


def test_one_number_is_asked_of_each():
    class Pair:
        def reset(self): ...
        def to(self, device): ...
        def update(self, preds, target): ...
        def compute(self):
            return torch.zeros(2)

    with pytest.raises(ValueError, match=r"metrics\.pair must give one number, got the shape \(2,\)"):
        Measures({"pair": Pair()}, lambda outputs: outputs).rehearse(torch.zeros(4, 3), torch.zeros(4))

"""The group metrics=: right numbers, alone, in a stack and in several processes; nothing where nothing is asked for."""

import math

import numpy as np
import pytest
import torch
import torchmetrics.classification as multi
import yaml
from scipy.stats import rankdata
from sklearn import metrics as truth
from sklearn.preprocessing import label_binarize

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.compose import load, resolved, user_errors
from paribus.config.measures import Measures as Measured
from paribus.config.run import Run
from paribus.config.task import OWN as OWN_TASKS
from paribus.config.task import Task
from paribus.run import build
from paribus.run.evaluate import reload
from paribus.store.store import Store
from paribus.tasks.measures import Measures

SMALL = ["model=mlp", "model.width=8", "norm=none", "trainer.threads=1"]
DIGITS = [*SMALL, "data.subset=120", "data.validation=80", "budget.epochs=2"]
BOTH = "f1,precision,recall,specificity,auroc,average_precision,jaccard,mcc"  # of classes, and of labels
CLASSES = f"metrics=[{BOTH},top5,calibration,kappa]"
LABELS = f"metrics=[{BOTH}]"
FITTING = {
    (*BOTH.split(","),): ["classification", "multilabel"],
    ("top5", "calibration", "kappa"): ["classification"],
    ("mse", "rmse", "mae", "mape", "r2", "pearson", "spearman", "explained_variance"): ["regression"],
}


@pytest.fixture
def labels(tmp_path):
    """120 samples with any of four labels, of which the last is rare; the overrides that train on them."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 6))
    y = (x @ draw.normal(size=(6, 4)) + draw.normal(size=(120, 4)) > [0.3, 0, -0.5, 3]).astype(int)
    np.savez(tmp_path / "labels.npz", x=x, y=y)
    source = ["task=multilabel", "data=arrays", f"data.source.path={tmp_path / 'labels.npz'}", "data.validation=31"]
    return [*SMALL, *source, "data.source.test_share=0.25", "batch_size=b16", "budget.epochs=5"]


def run_of(*overrides):
    with user_errors():
        return Run.parse(resolved(load([*SMALL, *overrides])))


def measures_of(*overrides):
    run = run_of(*overrides)
    return build.build_measures(run, build.build_setting(run))


def predicted(record, store):
    """Outputs and targets of the test set, with the weights that the run ended with."""
    reloaded = reload(record, store)
    with torch.no_grad():
        pairs = [(reloaded.network.eval()(x).float(), y) for x, y in reloaded.data.evaluation_batches("test", 1000)]
    return torch.cat([outputs for outputs, _ in pairs]), torch.cat([y for _, y in pairs])


def of_classes(record, store):
    """The metrics of classes by scikit-learn; by torchmetrics what that has not."""
    outputs, target = predicted(record, store)
    p, y = outputs.softmax(1).numpy(), target.numpy()
    guess, every, one_hot = p.argmax(1), {"average": "macro", "zero_division": 0}, label_binarize(y, classes=range(10))
    calibration = multi.MulticlassCalibrationError(10, n_bins=15, norm="max")
    return {
        "f1": truth.f1_score(y, guess, **every),
        "precision": truth.precision_score(y, guess, **every),
        "recall": truth.recall_score(y, guess, **every),
        "specificity": np.mean([truth.recall_score(y != k, guess != k) for k in range(10)]),
        "auroc": truth.roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr", average="macro"),
        "average_precision": truth.average_precision_score(one_hot, p, average="macro"),
        "jaccard": truth.jaccard_score(y, guess, **every),
        "mcc": truth.matthews_corrcoef(y, guess),
        "top5": np.mean([label in row for label, row in zip(y, np.argsort(-p)[:, :5], strict=True)]),
        "calibration": float(calibration(outputs.softmax(1), target)),
        "kappa": truth.cohen_kappa_score(y, guess),
    }


def of_labels(record, store):
    """The metrics of labels by scikit-learn."""
    outputs, target = predicted(record, store)
    p, y = outputs.sigmoid().numpy(), target.numpy().astype(int)
    guess, every = (p > 0.5).astype(int), {"average": "macro", "zero_division": 0}
    return {
        "f1": truth.f1_score(y, guess, **every),
        "precision": truth.precision_score(y, guess, **every),
        "recall": truth.recall_score(y, guess, **every),
        "specificity": truth.recall_score(1 - y, 1 - guess, **every),
        "auroc": truth.roc_auc_score(y, p, average="macro"),
        "average_precision": truth.average_precision_score(y, p, average="macro"),
        "jaccard": truth.jaccard_score(y, guess, **every),
        "mcc": truth.matthews_corrcoef(y.ravel(), guess.ravel()),  # torchmetrics counts all labels together
    }


def check(record, store, expected):
    for name, value in expected(record, store).items():
        assert record.metrics[f"test/{name}"] == pytest.approx(value, abs=1e-6), name
        assert math.isfinite(record.metrics[f"val/{name}"]), name


def only_record(folder):
    store = Store(folder)
    [record] = list(store.scan())
    return record, store


def test_the_numbers_are_those_of_scikit_learn_and_the_record_declares_them(paribus, tmp_path):
    result = paribus("train", *DIGITS, CLASSES)
    assert result.code == 0, result.err
    record, store = only_record(tmp_path / "outputs")
    check(record, store, of_classes)
    assert math.isfinite(record.metrics["val/f1_best"])
    declared = {"better": "higher", "unit": "percent", "chance": 0.5, "how": 'torchmetrics.AUROC(average="macro")'}
    assert record.declared["auroc"] == declared
    assert "val/f1" in store.history(record.id)
    again = paribus("evaluate", record.id)
    assert again.code == 0, again.err
    assert "test/f1" in again.out


def test_labels_have_the_same_options_also_later(paribus, tmp_path, labels):
    """The options of the group are the same, and torchmetrics takes the class for labels."""
    result = paribus("train", *labels, LABELS)
    assert result.code == 0, result.err
    check(*only_record(tmp_path / "outputs"), of_labels)
    assert paribus("train", *labels, "paths.outputs=later").code == 0
    record, store = only_record(tmp_path / "later")
    result = paribus("evaluate", "--metrics", BOTH, record.id, "--outputs", "later")
    assert result.code == 0, result.err
    check(store.read(record.id), store, of_labels)


def test_the_weights_and_the_id_are_the_same_with_and_without_them(paribus, tmp_path):
    assert paribus("train", *DIGITS, "paths.outputs=with", CLASSES).code == 0
    assert paribus("train", *DIGITS, "paths.outputs=without").code == 0
    ours, others = only_record(tmp_path / "with")[0], only_record(tmp_path / "without")[0]
    assert ours.id == others.id
    assert {key: ours.metrics[key] for key in others.metrics} == others.metrics
    assert "metrics" not in ours.choices


def test_in_a_stack_each_member_has_its_own(paribus, tmp_path, labels):
    result = paribus("train", "-m", *labels, LABELS, "seed=0,1,2", "stack=3")
    assert result.code == 0, result.err
    store = Store(tmp_path / "outputs")
    records = list(store.scan())
    assert [record.provenance["segments"][0].get("stack") for record in records] != [None] * 3
    for record in records:
        check(record, store, of_labels)
    assert len({record.metrics["test/auroc"] for record in records}) == 3


@pytest.mark.slow
def test_processes_are_merged(paribus, tmp_path, labels):
    """Validation has 31 samples, so that the processes have different numbers of them."""
    result = paribus("train", *labels, LABELS, "trainer=ddp_sim", "evaluation.monitor=val/auroc")
    assert result.code == 0, result.err
    check(*only_record(tmp_path / "outputs"), of_labels)


REGRESSION = ["task=regression", "data=diabetes"]
OWN = "+metrics.mine._target_"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loss=scalar_mse", "metrics=auroc"], "gives no probabilities"),
        (["metrics=mae"], "whose further metrics are auroc, average_precision, calibration"),
        ([f"{OWN}=torchmetrics.MeanAbsoluteError"], "It is given probabilities of the shape (8, 10)"),
        (
            [*REGRESSION, f"{OWN}=torchmetrics.F1Score"],
            "metrics.mine needs task, and data.source=diabetes has kind_of_y",
        ),
        (
            [f"{OWN}=torchmetrics.classification.MultilabelAUROC"],
            "metrics.mine needs num_labels, and data.source=digits",
        ),
        (["metrics=f1", "metrics.f1.average=none"], "metrics.f1 must give one number"),
        ([*REGRESSION, "metrics=mse", "+metrics.mse.num_outputs=-3"], "metrics.mse: Expected"),
        (["metrics=f1", "+metrics.f1.avrage=macro"], "Unexpected keyword arguments: `avrage`"),
        ([f"{OWN}=torch.nn.Linear"], "metrics.mine._target_ must be a metric"),
        ([f"{OWN}=nowhere_at_all.Metric"], "metrics.mine: nowhere_at_all.Metric needs the package nowhere_at_all"),
        (["metrics=f11"], "metrics=f11 is not an option. Did you mean f1"),
        (["metrics=f1", "metrics.f1.better=up"], "metrics.f1.better must be"),
        (["metrics=f1", "metrics.f1.tasks=[images]"], "metrics.f1.tasks must be a list of classification, regression"),
        (["+metrics.f1.better=higher"], "metrics.f1._target_"),
        (["evaluation.monitor=val/f1"], "metrics=f1"),
    ],
)
def test_what_can_not_be_measured_is_named_before_training(overrides, said):
    with pytest.raises(UserError) as caught:
        measures_of(*overrides)
    assert said in str(caught.value)


@pytest.mark.parametrize("task", OWN_TASKS.values())
def test_every_option_is_taken_by_the_tasks_that_it_is_for_and_names_them_to_others(task):
    section = yaml.safe_load((config_dir() / "task" / f"{task}.yaml").read_text())
    ours = Task.read({key: value for key, value in section.items() if key != "defaults"})
    for path in (config_dir() / "metrics").glob("*.yaml"):
        measures = Measured.read(yaml.safe_load(path.read_text()))
        [name] = measures.nodes
        [fitting] = [tasks for names, tasks in FITTING.items() if name in names]
        if task in fitting:
            assert ours.beside(measures.declared).metrics[name].better == measures.declared[name].better
        elif name not in ours.metrics:
            with pytest.raises(UserError) as caught:
                ours.beside(measures.declared)
            named = f"metrics={name} is for task={' and task='.join(fitting)}, and this run has task={task}"
            assert str(caught.value).startswith(named)


def test_a_loss_without_probabilities_has_what_needs_classes_only():
    run = run_of("loss=scalar_mse", "metrics=[f1,kappa]")
    assert build.build_measures(run, build.build_setting(run)) is not None


@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save:UserWarning")
@pytest.mark.parametrize("several", [False, True])
def test_regression_measures_numbers_in_the_units_of_the_data(several, tmp_path):
    """Of several numbers for each sample a metric is the mean over them, as the task's own metrics are."""
    overrides = ["task=regression", "metrics=[mse,pearson,spearman,mape,explained_variance]", "data=diabetes"]
    if several:
        draw = np.random.default_rng(0)
        x = draw.normal(size=(200, 3))
        np.savez(tmp_path / "a.npz", x=x, y=np.stack([10 * x.sum(1) + 50, x[:, 0] + draw.normal(size=200) + 8], 1))
        overrides[-1:] = ["data=arrays", f"data.source.path={tmp_path / 'a.npz'}"]
    run = run_of(*overrides)
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    measures = build.build_measures(run, setting)
    y = data.splits.test.y[:20]
    outputs = torch.randn(20, y[0].numel(), generator=torch.Generator().manual_seed(0))
    measures.begin(torch.device("cpu"))
    measures.update(outputs[:12], y[:12])
    measures.update(outputs[12:], y[12:])
    found, numbers, y = measures.compute(), setting.task.predict(outputs).double().numpy(), y.view(20, -1).numpy()
    assert found["mse"] == pytest.approx(truth.mean_squared_error(y, numbers), rel=1e-5)
    assert found["mape"] == pytest.approx(truth.mean_absolute_percentage_error(y, numbers), rel=1e-5)
    assert found["explained_variance"] == pytest.approx(truth.explained_variance_score(y, numbers), rel=1e-4)
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(y.T, numbers.T, strict=True)]
    assert found["pearson"] == pytest.approx(np.mean(each), abs=1e-5)
    ranks = [np.corrcoef(*(rankdata(v) for v in pair))[0, 1] for pair in zip(y.T, numbers.T, strict=True)]
    assert found["spearman"] == pytest.approx(np.mean(ranks), abs=1e-5)


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
        Measures({"pair": Pair()}, lambda *pair: pair).rehearse(torch.zeros(4, 3), torch.zeros(4))

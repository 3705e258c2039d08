"""Multi-label classification: metrics against torchmetrics, alone and in stacks; chance; a run of it."""

import math

import pytest
import torch
from made_sources import Made
from torchmetrics.classification import MultilabelAccuracy, MultilabelExactMatch

from paribus.datasets.prepare import prepare
from paribus.datasets.source import form_of
from paribus.run.evaluation import evaluate
from paribus.run.metrics import Totals
from paribus.tasks.multilabel.task import Multilabel
from paribus.techniques.augment import Identity, MixUp
from paribus.techniques.label_losses import BinaryCrossEntropy
from paribus.techniques.losses import CrossEntropy

CPU = torch.device("cpu")


def prepared(augmentation=None):
    source = Made(kind_of_y="labels")
    task = Multilabel(form_of(source), BinaryCrossEntropy(), augmentation or Identity())
    splits = prepare(source, validation=20)
    task.prepare(splits)
    return task, splits


def network():
    net = torch.nn.Linear(5, 4, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.linspace(-1, 1, 20).view(4, 5))
    return net


def wanted(outputs, y):
    accuracy = MultilabelAccuracy(4, average="micro")(outputs.sigmoid(), y.long())
    exact = MultilabelExactMatch(4)(outputs.sigmoid(), y.long())
    loss = torch.nn.BCEWithLogitsLoss()(outputs, y)
    return {name: pytest.approx(float(value), rel=1e-6) for name, value in
            (("loss", loss), ("acc", accuracy), ("exact", exact))}  # fmt: skip


def test_metrics_are_those_of_torchmetrics_however_they_are_divided():
    task, splits = prepared()
    x, y = splits.test.x, splits.test.y
    outputs = network()(x).detach()
    assert evaluate(network(), task, zip(x.split(7), y.split(7), strict=True), device=CPU) == wanted(outputs, y)
    totals = Totals(task)
    for some, targets in zip(outputs.split(7), y.split(7), strict=True):
        totals.update(task.loss(some, targets), some, targets)
    assert totals.compute(totals.state()) == wanted(outputs, y)


def test_a_stack_has_the_sums_of_its_networks():
    task, splits = prepared()
    outputs = torch.stack([network()(splits.test.x), -network()(splits.test.x)]).detach()
    sums = task.evaluation_sums(outputs, splits.test.y, torch.float64)
    for row, alone in zip(sums, outputs, strict=True):
        assert task.evaluation_metrics(row) == wanted(alone, splits.test.y)
    targets = splits.test.y.expand(2, -1, -1)
    each = torch.stack([task.training_sums(alone, splits.test.y, torch.float64) for alone in outputs])
    assert torch.equal(task.training_sums(outputs, targets, torch.float64), each)
    assert math.isnan(task.evaluation_metrics(torch.zeros(4))["exact"])


def test_chance_is_how_often_each_label_is_there():
    task, splits = prepared()
    often = splits.train.y.mean(0)
    logits = torch.logit(often).expand_as(splits.test.y)
    assert task.chance() == wanted(logits, splits.test.y)


def test_a_label_that_training_never_has_costs_nothing_where_the_test_never_has_it():
    class Never(Made):
        def y(self, size, generator):
            y = super().y(size, generator)
            y[:, 0] = 0
            return y

    source = Never(kind_of_y="labels")
    task = Multilabel(form_of(source), BinaryCrossEntropy(), Identity())
    splits = prepare(source, validation=20)
    task.prepare(splits)
    often, y = splits.train.y.mean(0)[1:], splits.test.y[:, 1:]
    rest = torch.nn.BCEWithLogitsLoss(reduction="sum")(torch.logit(often).expand_as(y), y)
    assert task.chance()["loss"] == pytest.approx(float(rest) / splits.test.y.numel(), rel=1e-6)


def test_mixing_mixes_labels_as_they_are():
    task, splits = prepared(MixUp(alpha=1.0))
    x, y = splits.train.x, splits.train.y
    mixed_x, mixed_y = task.augment(x, y, torch.Generator().manual_seed(0))
    assert task.augments
    assert mixed_x.shape == x.shape
    assert mixed_y.shape == y.shape
    assert ((mixed_y > 0) & (mixed_y < 1)).any()
    partner = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    low, high = torch.minimum(y, y[partner]), torch.maximum(y, y[partner])
    assert ((mixed_y >= low - 1e-6) & (mixed_y <= high + 1e-6)).all()


def test_a_loss_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"needs a loss of labels, got CrossEntropy. Use loss=binary_cross_entropy"):
        Multilabel(form_of(Made(kind_of_y="labels")), CrossEntropy(3), Identity())


def test_labels_are_trained_and_other_targets_refused(paribus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{k / 7},{k % 5},{int(k % 5 > 2)},{int(k % 3 == 0)}" for k in range(90)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,high,third", *rows]) + "\n")
    line = ["train", "data=csv", "data.source.path=table.csv", "model=mlp", "norm=none", "batch_size=b16", "stack=off"]
    both = "data.source.target=[high,third]"
    done = paribus(*line, both, "task=multilabel", "budget.epochs=20", "optimizer.lr=0.1")
    assert done.code == 0, done.err
    assert "test/acc" in done.err
    refused = paribus(*line, both)
    assert refused.code == 2
    assert "has kind_of_y='labels'. Use task=multilabel" in refused.err
    refused = paribus(*line, "data.source.target=high", "task=multilabel")
    assert "learns targets of the kind labels, and data.source=csv has kind_of_y='class'" in refused.err

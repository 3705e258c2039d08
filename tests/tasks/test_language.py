"""Language: metrics against torch's and torchmetrics' own, however they are divided; masks; chance and floor."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchmetrics.classification import MulticlassAccuracy

from paribus.adapters.losses import loss_of
from paribus.datasets.prepare import prepare
from paribus.datasets.source import IGNORED, RawData, form_of
from paribus.run.evaluation import evaluate
from paribus.run.metrics import Totals
from paribus.tasks.language.task import Language
from paribus.techniques.augment import Identity
from paribus.techniques.label_losses import BinaryCrossEntropy
from paribus.techniques.losses import CrossEntropy, ScalarSquaredError, SoftmaxSquaredError, SquaredError

CPU = torch.device("cpu")
TOKENS, PLACES = 9, 6


class Letters:
    """Random tokens, with as many targets as asked for, at the last places."""

    name = "letters"
    shape = (PLACES,)
    kind_of_x = "sequence"
    kind_of_y = "tokens"
    vocabulary_size = TOKENS

    def __init__(self, counted=PLACES, floor=None):
        self.counted, self.floor = counted, floor

    def load(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, TOKENS, (80, PLACES), generator=generator)
        y = torch.randint(0, TOKENS - 2, (80, PLACES), generator=generator)  # two of them are never a target
        y[:, : PLACES - self.counted] = IGNORED
        return RawData(x[:60], y[:60], x[60:], y[60:])


class Net(torch.nn.Module):
    def __init__(self, sign=1.0):
        super().__init__()
        self.table = torch.nn.Embedding(TOKENS, TOKENS)
        with torch.no_grad():
            self.table.weight.copy_(sign * torch.linspace(-40, 40, TOKENS**2).sin().view(TOKENS, TOKENS))

    def forward(self, x):
        return self.table(x)


def prepared(criterion=None, counted=PLACES, floor=None):
    source = Letters(counted, floor)
    task = Language(form_of(source), criterion or CrossEntropy(TOKENS), Identity())
    splits = prepare(source, validation=20)
    task.prepare(splits)
    return task, splits


def wanted(outputs, y, floor=math.nan):
    rows, target = outputs[y != IGNORED], y[y != IGNORED]
    nll = float(F.cross_entropy(rows, target))
    top = [MulticlassAccuracy(TOKENS, top_k=k, average="micro")(rows.softmax(1), target) for k in (1, 5)]
    found = {"loss": nll, "bits": nll / math.log(2), "ppl": math.exp(nll), "excess": nll - floor}
    found |= {"acc": float(top[0]), "top5": float(top[1])}
    return {name: pytest.approx(value, rel=1e-6, nan_ok=True) for name, value in found.items()}


@pytest.mark.parametrize("counted", [PLACES, 2])
def test_metrics_are_those_of_torch_however_they_are_divided(counted):
    task, splits = prepared(counted=counted, floor=0.25)
    x, y = splits.test.x, splits.test.y
    outputs = Net()(x).detach()
    parts = zip(x.split(7), y.split(7), strict=True)
    assert evaluate(Net(), task, parts, device=CPU) == wanted(outputs, y, 0.25)
    assert float(task.loss(outputs, y)) == wanted(outputs, y)["loss"]
    totals = Totals(task)
    for some, targets in zip(outputs.split(7), y.split(7), strict=True):
        totals.update(task.loss(some, targets), some, targets)
    assert totals.compute(totals.state()) == {name: wanted(outputs, y)[name] for name in ("loss", "acc")}


def test_what_stands_at_a_place_that_does_not_count_changes_nothing():
    task, splits = prepared(counted=2)
    y, outputs = splits.test.y, Net()(splits.test.x).detach().requires_grad_()
    task.loss(outputs, y).backward()
    assert bool((outputs.grad[:, : PLACES - 2] == 0).all())
    assert bool((outputs.grad[:, PLACES - 2 :] != 0).any(2).all())
    other = outputs.detach().clone()
    other[:, : PLACES - 2] = 7.0
    for sums in (task.training_sums, lambda z, y, d: task.evaluation_sums(z[None], y, d)):
        assert torch.equal(sums(other, y, torch.float64), sums(outputs.detach(), y, torch.float64))


def test_sequences_with_few_and_many_targets_count_alike():
    task, splits = prepared()
    y = splits.test.y.clone()
    y[::2, :4] = IGNORED
    outputs = Net()(splits.test.x).detach()
    each = [F.cross_entropy(z, target, ignore_index=IGNORED) for z, target in zip(outputs, y, strict=True)]
    torch.testing.assert_close(task.loss(outputs, y), torch.stack(each).mean())
    torch.testing.assert_close(task.per_sample(outputs, y), torch.stack(each))


def test_a_stack_has_the_sums_of_its_networks():
    task, splits = prepared(counted=3)
    x, y = splits.test.x, splits.test.y
    outputs = torch.stack([Net()(x), Net(-1.0)(x)]).detach()
    sums = task.evaluation_sums(outputs, y, torch.float64)
    for row, alone in zip(sums, outputs, strict=True):
        assert task.evaluation_metrics(row) == wanted(alone, y)
    each = torch.stack([task.training_sums(alone, y, torch.float64) for alone in outputs])
    assert torch.equal(task.training_sums(outputs, y.expand(2, -1, -1), torch.float64), each)
    assert math.isnan(task.evaluation_metrics(torch.zeros(6))["ppl"])


@pytest.mark.parametrize("criterion", [CrossEntropy(TOKENS), CrossEntropy(TOKENS, 0.1), CrossEntropy(TOKENS, 0.1, 0.5)])
def test_chance_is_how_often_each_token_is_a_target(criterion):
    """With one more of each, so that a token that training never has costs something finite."""
    task, splits = prepared(criterion, counted=4, floor=0.5)
    y = splits.train.y[splits.train.y != IGNORED]
    often = torch.bincount(y, minlength=TOKENS) + 1.0
    logs = (often / often.sum()).log().expand(*splits.test.y.shape, TOKENS)
    expected = wanted(logs, splits.test.y, 0.5) | {"loss": pytest.approx(float(task.loss(logs, splits.test.y)))}
    assert task.chance() == expected


@pytest.mark.parametrize(
    ("criterion", "lacking"),
    [
        (SoftmaxSquaredError(TOKENS), []),
        (SquaredError(TOKENS), ["bits"]),
        (ScalarSquaredError(TOKENS), ["bits", "top5"]),
    ],
)
def test_what_a_loss_does_not_give_is_nan_and_refused_as_a_monitor(criterion, lacking):
    task, splits = prepared(criterion, floor=0.0)
    x, y = splits.test.x, splits.test.y
    network = Net() if criterion.num_outputs == TOKENS else torch.nn.Sequential(Net(), torch.nn.Linear(TOKENS, 1))
    found = evaluate(network, task, [(x, y)], device=CPU)
    rows = network(x).flatten(0, 1).detach()
    assert found["loss"] == pytest.approx(float(criterion.per_sample(rows, y.flatten()).mean()))
    assert found["acc"] == pytest.approx(float((criterion.predict(rows) == y.flatten()).double().mean()))
    for name in ("bits", "top5"):
        assert math.isnan(found[name]) == (name in lacking)
        assert (task.unavailable(name) is not None) == (name in lacking)
        assert (name in task.chance()) == (name not in lacking)
    assert task.unavailable("loss") is None
    assert "nobody knows the floor" in prepared()[0].unavailable("excess")
    assert "excess" not in prepared()[0].chance()


def test_weights_of_tokens_weigh_their_mean():
    weights = torch.linspace(0.5, 2.0, TOKENS)
    made = loss_of(torch.nn.CrossEntropyLoss(weight=weights), form_of(Letters()).of_a_place, 1)
    task, splits = prepared(made, counted=3)
    outputs, y = Net()(splits.test.x).detach(), splits.test.y
    expected = F.cross_entropy(outputs.flatten(0, 1), y.flatten(), weight=weights)
    torch.testing.assert_close(task.loss(outputs, y), expected)
    found = evaluate(Net(), task, zip(splits.test.x.split(7), y.split(7), strict=True), device=CPU)
    assert found["loss"] == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(ValueError, match=r"weighted mean over a batch.*Use trainer.accumulate=1"):
        loss_of(torch.nn.CrossEntropyLoss(weight=weights), form_of(Letters()).of_a_place, 2)


def test_predictions_are_those_of_the_places_that_count():
    task, splits = prepared(counted=2)
    outputs, y = Net()(splits.test.x).detach(), splits.test.y
    probabilities, target = task.predictions(outputs, y)
    torch.testing.assert_close(probabilities, outputs[:, -2:].softmax(2).flatten(0, 1))
    assert torch.equal(target, y[:, -2:].flatten())


def test_a_loss_of_labels_is_refused():
    with pytest.raises(ValueError, match=r"language needs a loss .*, got BinaryCrossEntropy. Use loss=cross_entropy"):
        Language(form_of(Letters()), BinaryCrossEntropy(), Identity())

"""Regression: losses against formulas, metrics against torchmetrics, alone and in stacks."""

import math

import pytest
import torch
from torchmetrics.regression import MeanAbsoluteError as Mae
from torchmetrics.regression import MeanSquaredError as Mse
from torchmetrics.regression import R2Score

from paribus.datasets.prepare import prepare
from paribus.datasets.source import Form, RawData
from paribus.extras.stack.task import StackedTask
from paribus.run.evaluation import evaluate
from paribus.run.metrics import Totals
from paribus.tasks.regression.task import Regression
from paribus.techniques.augment import Identity, MixUp
from paribus.techniques.losses import CrossEntropy
from paribus.techniques.regression_losses import Huber, MeanAbsoluteError, MeanSquaredError

CPU = torch.device("cpu")


class Linear:
    """y is linear in x, with noise; the units of y are far from 1."""

    name, kind_of_x, kind_of_y, shape = "linear", "vector", "number", (3,)

    def __init__(self, num_outputs=1):
        self.num_outputs = num_outputs

    def load(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(200, 3, generator=generator)
        y = 1e4 + 300 * (x @ torch.randn(3, self.num_outputs, generator=generator))
        y = y + torch.randn(y.shape, generator=generator)
        y = y[:, 0] if self.num_outputs == 1 else y
        return RawData(x[:150], y[:150], x[150:], y[150:])


def prepared(num_outputs, loss=None):
    form = Form((3,), "vector", "number", num_outputs)
    task = Regression(form, loss or MeanSquaredError(), Identity())
    splits = prepare(Linear(num_outputs), validation=30)
    task.prepare(splits)
    return task, splits


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_metrics_of_an_evaluation_are_those_of_torchmetrics(num_outputs):
    task, splits = prepared(num_outputs)
    x, y = splits.test.x, splits.test.y
    network = torch.nn.Linear(3, num_outputs)
    with torch.no_grad():
        network.weight.copy_(torch.linspace(-1, 1, 3 * num_outputs).view(num_outputs, 3))
    found = evaluate(network, task, zip(x.split(7), y.split(7), strict=True), device=CPU)
    predicted = task.predict(network(x)).detach().double()
    wanted = y.double().view(len(y), num_outputs)
    assert found["mae"] == pytest.approx(float(Mae()(predicted, wanted)), rel=1e-6)
    assert found["rmse"] == pytest.approx(float(Mse(squared=False)(predicted, wanted)), rel=1e-6)
    assert found["r2"] == pytest.approx(float(R2Score()(predicted, wanted)), rel=1e-4)
    scaled = (wanted - splits.target_mean.double()) / splits.target_std.double()
    assert found["loss"] == pytest.approx(float((network(x).detach().double() - scaled).square().mean()), rel=1e-5)


def test_predicting_the_mean_of_the_training_targets_scores_the_chance():
    task, splits = prepared(2)
    zeros = torch.nn.Linear(3, 2)
    with torch.no_grad():
        zeros.weight.zero_()
        zeros.bias.zero_()
    found = evaluate(zeros, task, [(splits.test.x, splits.test.y)], device=CPU)
    for name, value in task.chance().items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_targets_that_do_not_vary_have_no_r2():
    task, splits = prepared(1)
    y = torch.full((5,), 10_050.0)
    found = evaluate(torch.nn.Linear(3, 1), task, [(splits.test.x[:5], y)], device=CPU)
    assert math.isnan(found["r2"])
    assert math.isfinite(found["rmse"])


def test_without_samples_nothing_is_known():
    task, _ = prepared(2)
    assert all(map(math.isnan, task.evaluation_metrics(torch.zeros(task.evaluation_size)).values()))


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_a_stack_counts_as_its_runs_do(num_outputs):
    losses = [MeanSquaredError(), Huber(0.5), MeanSquaredError()]
    tasks = [prepared(num_outputs, loss)[0] for loss in losses]
    stacked = StackedTask(tasks, ["a", "b", "a"])
    _, splits = prepared(num_outputs)
    generator = torch.Generator().manual_seed(1)
    y = splits.test.y[:9]
    outputs = torch.randn(3, 9, num_outputs, generator=generator)
    together, alone = Totals(stacked, replicas=[3]), [Totals(task) for task in tasks]
    targets = torch.stack([y] * 3)
    together.update(stacked.losses(outputs, targets), outputs, targets)
    for task, totals, row in zip(tasks, alone, outputs, strict=True):
        totals.update(task.loss(row, y), row, y)
    for k, totals in enumerate(alone):
        one, other = together.compute(together.state()[:, k]), totals.compute(totals.state())
        assert one == pytest.approx(other, rel=1e-6)
        error = task.predict(outputs[k]).double() - y.double().view(9, num_outputs)
        assert one["rmse"] == pytest.approx(math.sqrt(float(error.square().mean())), rel=1e-6)
    sums = stacked.evaluation_sums(outputs, y, torch.float64)
    wanted = [task.evaluation_sums(row[None], y, torch.float64)[0] for task, row in zip(tasks, outputs, strict=True)]
    torch.testing.assert_close(sums, torch.stack(wanted))


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (MeanSquaredError(), lambda error: error**2),
        (MeanAbsoluteError(), abs),
        (Huber(0.5), lambda error: error**2 / 2 if abs(error) <= 0.5 else 0.5 * (abs(error) - 0.25)),
    ],
)
def test_losses_are_their_formulas(loss, by_hand):
    outputs, target = torch.tensor([[0.1, 2.0], [-3.0, 0.0]]), torch.zeros(2, 2)
    wanted = [[by_hand(value) for value in row] for row in outputs.tolist()]
    assert loss.per_sample(outputs, target).tolist() == pytest.approx([sum(row) / 2 for row in wanted])
    assert float(loss(outputs, target)) == pytest.approx(sum(map(sum, wanted)) / 4)


def test_a_loss_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"needs a loss of numbers, got CrossEntropy. Use loss=squared_error"):
        Regression(Form((3,), "vector", "number", 1), CrossEntropy(3), Identity())


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_mixup_takes_numbers_between_those_of_two_samples(num_outputs):
    """The same share of x and of y: where y is linear in x, it is so after mixing."""
    form = Form((3,), "vector", "number", num_outputs)
    task = Regression(form, MeanSquaredError(), MixUp(1.0))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    y = 100 + 7 * x[:, :num_outputs]
    y = y[:, 0] if num_outputs == 1 else y
    assert task.augments
    mixed, target = task.augment(x, y, torch.Generator().manual_seed(1))
    assert target.shape == y.shape
    assert not torch.equal(target, y)
    assert torch.allclose(target.view(50, -1), 100 + 7 * mixed[:, :num_outputs], atol=1e-3)

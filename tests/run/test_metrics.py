"""Sums over batches and processes against torchmetrics."""

import math

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from paribus.datasets.source import Form
from paribus.run.evaluation import evaluate
from paribus.run.metrics import Totals
from paribus.tasks.classification.calibration import calibration_error, calibration_sums
from paribus.tasks.classification.task import Classification
from paribus.techniques.augment import Identity
from paribus.techniques.losses import CrossEntropy, ScalarSquaredError

CPU = torch.device("cpu")


def task(loss):
    return Classification(Form((1,), "vector", "class", loss.num_classes), loss, Identity())


def sums(loss, outputs, y):
    """Of an evaluation of one network."""
    return task(loss).evaluation_sums(outputs[None], y, torch.float64)[0]


def data(n=500, k=7):
    generator = torch.Generator().manual_seed(0)
    return 2.0 * torch.randn(n, k, generator=generator), torch.randint(0, k, (n,), generator=generator)


def test_evaluation_agrees_with_torchmetrics():
    outputs, y = data()
    batches = zip(outputs.split(33), y.split(33), strict=True)
    found = evaluate(torch.nn.Identity(), task(CrossEntropy(7)), batches, device=CPU)
    assert found["acc"] == pytest.approx(MulticlassAccuracy(7, average="micro")(outputs, y).item(), abs=1e-6)
    assert found["ece"] == pytest.approx(
        MulticlassCalibrationError(7, n_bins=15)(outputs.softmax(1), y).item(), abs=1e-6
    )
    assert found["loss"] == pytest.approx(torch.nn.functional.cross_entropy(outputs, y).item(), rel=1e-6)


def test_bins_of_calibration_are_closed_on_the_right():
    """A confidence of 3/15 belongs to (2/15, 3/15], and one just above it to the next bin."""
    confidence = torch.tensor([0.2, 0.2 + 1e-9, 0.4, 0.4 - 1e-9, 1.0, 1e-12], dtype=torch.float64)
    correct = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    edges = [(k / 15, (k + 1) / 15) for k in range(15)]
    expected = (
        sum(
            abs(float((correct - confidence)[(confidence > low + 1e-15) & (confidence <= high + 1e-15)].sum()))
            for low, high in edges
        )
        / 6
    )
    assert calibration_error(calibration_sums(confidence, correct, 1)[0]) == pytest.approx(expected, abs=1e-12)
    # 0.2 and 0.2 + 1e-9 would nearly cancel in one bin
    assert expected == pytest.approx((0.8 + 0.2 + (1 - 0.8)) / 6, abs=1e-6)


def test_states_of_processes_add_up():
    outputs, y = data()
    loss = CrossEntropy(7)
    parts = sums(loss, outputs[:123], y[:123]) + sums(loss, outputs[123:], y[123:])
    merged, whole = (task(loss).evaluation_metrics(each) for each in (parts, sums(loss, outputs, y)))
    assert merged == pytest.approx(whole, rel=1e-12)


def test_no_confidence_means_no_calibration_error():
    loss = ScalarSquaredError(4)
    found = task(loss).evaluation_metrics(sums(loss, torch.zeros(4, 1), torch.arange(4)))
    assert math.isnan(found["ece"])
    assert found["acc"] == 0.25


def test_not_a_number_is_counted_and_breaks_nothing():
    loss = CrossEntropy(2)
    found = task(loss).evaluation_metrics(sums(loss, torch.full((3, 2), math.nan), torch.zeros(3, dtype=torch.long)))
    assert math.isnan(found["loss"])
    assert 0.0 <= found["acc"] <= 1.0


def test_training_totals_weigh_batches_by_their_size_and_take_soft_targets():
    outputs, y = data(10, 3)
    totals = Totals(task(CrossEntropy(3)))
    for part, target in ((outputs[:8], y[:8]), (outputs[8:], torch.nn.functional.one_hot(y[8:], 3).float())):
        totals.update(CrossEntropy(3)(part, target), part, target)
    found = totals.compute(totals.state())
    assert found["loss"] == pytest.approx(torch.nn.functional.cross_entropy(outputs, y).item(), rel=1e-6)
    assert found["acc"] == (outputs.argmax(1) == y).double().mean().item()
    other = Totals(task(CrossEntropy(3)))
    other.load(totals.state())
    assert other.compute(other.state()) == found
    totals.reset()
    assert math.isnan(totals.compute(totals.state())["loss"])


def test_a_million_updates_lose_nothing():
    totals = Totals(task(CrossEntropy(3)))
    totals.load(torch.tensor([1e8, 5e7, 1e8], dtype=torch.float64))
    totals.update(torch.tensor(1e-3), torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))
    assert totals.state()[0].item() == pytest.approx(1e8 + 1e-3, abs=1e-7)

"""Losses of torch and of anybody: the numbers are torch's, whatever the batches; what can't be right is refused."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paribus.adapters.losses import FITTING, loss_of
from paribus.datasets.source import Form
from paribus.run.evaluation import evaluate
from paribus.tasks.classification.task import Classification
from paribus.techniques.augment import Identity, soft
from paribus.techniques.losses import CrossEntropy

CLASSES = Form((5,), "vector", "class", 4)
LABELS = Form((5,), "vector", "labels", 4)
NUMBERS = Form((5,), "vector", "number", 3)
WEIGHT = torch.tensor([0.1, 1.0, 2.0, 0.5])
CPU = torch.device("cpu")
close = functools.partial(torch.testing.assert_close, rtol=1e-6, atol=1e-7)


def batch(form, number=7):
    outputs = torch.randn(number, 3 if form is NUMBERS else 4)
    if form is CLASSES:
        return outputs, torch.arange(number) % 4
    y = torch.randn(outputs.shape)
    return outputs, (y > 0).float() if form is LABELS else y


@pytest.mark.parametrize(
    ("made", "form"),
    [
        (nn.CrossEntropyLoss(), CLASSES),
        (nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES),
        (nn.CrossEntropyLoss(weight=WEIGHT), CLASSES),
        (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2, ignore_index=2), CLASSES),
        (nn.NLLLoss(weight=WEIGHT), CLASSES),
        (nn.MultiMarginLoss(p=2, margin=0.5, weight=WEIGHT), CLASSES),
        (nn.MSELoss(), CLASSES),
        (nn.BCEWithLogitsLoss(), CLASSES),
        (nn.MSELoss(), NUMBERS),
        (nn.L1Loss(), NUMBERS),
        (nn.SmoothL1Loss(beta=0.3), NUMBERS),
        (nn.HuberLoss(delta=0.5), NUMBERS),
        (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), LABELS),
        (nn.MultiLabelSoftMarginLoss(weight=WEIGHT), LABELS),
    ],
    ids=str,
)
def test_a_loss_of_torch_is_the_same_to_the_bit_and_adds_up_over_samples(made, form):
    loss = loss_of(made, form, 1)
    outputs, y = batch(form)
    target = soft(y, 4, outputs.dtype) if isinstance(made, nn.MSELoss | nn.BCEWithLogitsLoss) else y
    assert torch.equal(loss(outputs, y), made(outputs, target))
    weights = loss.weights(y)
    divisor = len(y) if weights is None else weights.sum()
    close(loss.per_sample(outputs, y).sum() / divisor, made(outputs, target))
    half = loss.bfloat16()(outputs.bfloat16(), y)
    assert half.dtype == torch.float32  # computed in it


def test_functions_of_torch_are_losses_too():
    outputs, y = batch(NUMBERS)
    loss = loss_of(functools.partial(F.huber_loss, delta=0.5), NUMBERS, 1)
    assert torch.equal(loss(outputs, y), F.huber_loss(outputs, y, delta=0.5))
    assert torch.equal(loss_of(F.l1_loss, NUMBERS, 1)(outputs, y), F.l1_loss(outputs, y))


def test_the_weighted_loss_of_a_set_is_torchs_however_it_is_cut():
    made = nn.CrossEntropyLoss(weight=WEIGHT)
    task = Classification(CLASSES, loss_of(made, CLASSES, 1), Identity())
    outputs, y = batch(CLASSES, 41)
    for size in (41, 7, 1):
        found = evaluate(nn.Identity(), task, zip(outputs.split(size), y.split(size), strict=True), device=CPU)
        assert found["loss"] == pytest.approx(float(made(outputs, y)), rel=1e-6)
    ours = Classification(CLASSES, CrossEntropy(4), Identity())
    plain = evaluate(nn.Identity(), ours, [(outputs, y)], device=CPU)
    assert found["acc"] == plain["acc"]
    assert found["ece"] == pytest.approx(plain["ece"])


def test_soft_targets_have_no_weights_of_samples():
    made = nn.CrossEntropyLoss(weight=WEIGHT)
    loss = loss_of(made, CLASSES, 1)
    outputs, y = batch(CLASSES)
    mixed = soft(y, 4, torch.float32).roll(1, 0) * 0.3 + soft(y, 4, torch.float32) * 0.7
    assert loss.weights(mixed) is None
    close(loss.per_sample(outputs, mixed).mean(), made(outputs, mixed))


def test_readings_of_the_outputs():
    outputs, _ = batch(CLASSES)
    logits = loss_of(nn.CrossEntropyLoss(), CLASSES, 1)
    logs = loss_of(nn.NLLLoss(), CLASSES, 1)
    close(logits.probabilities(outputs), outputs.softmax(1))
    close(logs.confidence(outputs.log_softmax(1)), outputs.softmax(1).amax(1))
    assert loss_of(nn.MultiMarginLoss(), CLASSES, 1).probabilities(outputs) is None


class Focal(nn.Module):
    def __init__(self, gamma=2.0, reduction=None):
        super().__init__()
        self.gamma = gamma
        if reduction:
            self.reduction = reduction

    def forward(self, outputs, target):
        logs = F.cross_entropy(outputs, target, reduction="none")
        losses = (1 - (-logs).exp()) ** self.gamma * logs
        return losses if getattr(self, "reduction", "mean") == "none" else losses.mean()


class LooksAtValues(Focal):
    def forward(self, outputs, target):
        return super().forward(outputs, target) if float(outputs.sum()) > -1e9 else outputs.sum()


class OfABatch(Focal):
    def forward(self, outputs, target):
        return F.cross_entropy(outputs - outputs.mean(0), target)


class Learns(Focal):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))


@pytest.mark.parametrize("made", [Focal(), Focal(reduction="mean"), Focal(reduction="none"), LooksAtValues()])
def test_anybodys_loss_is_taken_where_it_adds_up_over_samples(made):
    loss = loss_of(made, CLASSES, 1)
    outputs, y = batch(CLASSES)
    wanted = Focal()(outputs, y)
    close(loss(outputs, y), wanted)
    close(loss.per_sample(outputs, y).mean(), wanted)
    assert loss.per_sample(outputs, y).shape == y.shape


@pytest.mark.parametrize(
    ("made", "form", "said"),
    [
        (OfABatch(), CLASSES, "is not the mean of its samples"),
        (Learns(), CLASSES, "has parameters"),
        (nn.BCELoss(), LABELS, "BCEWithLogitsLoss"),
        (nn.SoftMarginLoss(), LABELS, "of torch's there are torch.nn.BCEWithLogitsLoss"),
        (nn.CrossEntropyLoss(), NUMBERS, "does not go with targets that are numbers"),
        (nn.MSELoss(), LABELS, "does not go with targets that are labels"),
        (nn.MSELoss(reduction="sum"), NUMBERS, "reduction must be mean, got sum"),
        (nn.GaussianNLLLoss(), NUMBERS, "does not go with"),
        (functools.partial(F.binary_cross_entropy), LABELS, "does not go with"),
        (lambda outputs: outputs.sum(), CLASSES, "can't be computed of outputs"),
        (0.5, CLASSES, "Add _partial_: true"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_can_not_be_right_is_refused(made, form, said):
    with pytest.raises(ValueError, match="(?i)" + said):
        loss_of(made, form, 1)


def test_a_weighted_mean_is_not_the_mean_of_its_parts():
    with pytest.raises(ValueError, match="of its 4 parts"):
        loss_of(nn.CrossEntropyLoss(weight=WEIGHT), CLASSES, 4)
    loss_of(nn.CrossEntropyLoss(), CLASSES, 4)


def test_every_loss_of_the_lists_is_computed_for_its_targets():
    forms = {"class": CLASSES, "number": NUMBERS, "labels": LABELS}
    for kind, losses in FITTING.items():
        for name, function in losses.items():
            outputs, y = batch(forms[kind])
            one = loss_of(getattr(nn, name)(), forms[kind], 1)(outputs, y)
            assert torch.equal(one, loss_of(function, forms[kind], 1)(outputs, y))

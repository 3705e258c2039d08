r"""Losses that are not written for Paribus: those of torch as they are, and anybody's function of outputs and targets.

A task needs more of a loss than the mean of a batch: the loss of each sample, so that a set is evaluated the same
however it is cut into batches, and a reading of the outputs.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paribus.base.callables import parameters_of
from paribus.datasets.source import Form
from paribus.techniques.augment import soft
from paribus.techniques.elementwise import MeanLoss
from paribus.techniques.label_losses import LabelLoss
from paribus.techniques.losses import Loss
from paribus.techniques.regression_losses import RegressionLoss

Function = Callable[..., Tensor]
# By what their targets are: indices of classes, numbers, or labels of 0 and 1.
CLASSES: Mapping[str, Function] = {
    "CrossEntropyLoss": F.cross_entropy,
    "NLLLoss": F.nll_loss,
    "MultiMarginLoss": F.multi_margin_loss,
}
NUMBERS: Mapping[str, Function] = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "HuberLoss": F.huber_loss,
}
LABELS: Mapping[str, Function] = {
    "BCEWithLogitsLoss": F.binary_cross_entropy_with_logits,
    "MultiLabelSoftMarginLoss": F.multilabel_soft_margin_loss,
}
TORCH: Mapping[str, Function] = {**CLASSES, **NUMBERS, **LABELS}
# What each kind of target can be learned by: of classes, the others with targets of 0 and 1 for each class.
FITTING: Mapping[str, Mapping[str, Any]] = {"class": TORCH, "number": NUMBERS, "labels": LABELS}
_SAMPLES = 8  # of the batch on which a loss is tried


def loss_of(made: Any, form: Form, parts: int) -> Any:
    """A loss as the task of a data set takes it. Losses of Paribus come back as they are.

    made: what a configuration makes: a loss of torch.nn, a partial of a function of torch.nn.functional, or anybody's
        module or function (outputs, targets) -> the mean of a batch, or the loss of each sample.
    parts: into how many a batch is divided, on its way through the network and over processes.

    Raises ValueError for a loss that can't be computed sample by sample, and one whose targets are of another kind.
    """
    if isinstance(made, MeanLoss):
        return made
    if not callable(made):
        raise ValueError(f"a loss is a function of outputs and targets, got {made!r}. Add _partial_: true")
    function, options = _of_torch(made)
    if function is None and isinstance(made, nn.Module) and next(made.parameters(), None) is not None:
        raise ValueError(
            f"{_name(made)} has parameters, and only those of the model are trained. Compute with them in the model"
        )
    criterion: _Torchs | _Anybodys
    if function is None:
        if _name(made) in dir(nn) + dir(F) and _module(made).startswith("torch."):
            raise ValueError(_unfit(_name(made), form))
        criterion = _Anybodys(made)
    else:
        name = next(name for name, each in TORCH.items() if each is function)
        if name not in FITTING[form.kind_of_y]:
            raise ValueError(_unfit(name, form))
        criterion = _Torchs(function, options)
    if form.kind_of_y == "class":
        assert form.num_classes is not None
        loss: OfClasses | _Elementwise = OfClasses(criterion, form.num_classes)
    else:
        loss = OfNumbers(criterion) if form.kind_of_y == "number" else OfLabels(criterion)
    _try(loss, _name(made), form)
    if parts > 1 and loss.weights(form.zeros(2)[1]) is not None:
        raise ValueError(
            f"{_name(made)} with weights takes a weighted mean over a batch, which is no mean of those of its {parts} "
            "parts. Use trainer.accumulate=1 and one device, or leave weight and ignore_index out"
        )
    return loss


def _of_torch(made: Any) -> tuple[Callable[..., Tensor] | None, dict[str, Any]]:
    """A loss of torch as a function and its options; None for any other."""
    if isinstance(made, functools.partial):
        if made.func not in TORCH.values():
            return None, {}
        return made.func, _checked(made.func.__name__, dict(made.keywords))
    if made in TORCH.values():
        return made, {}
    function = TORCH.get(type(made).__name__)
    if function is None or type(made) is not getattr(nn, type(made).__name__):  # subclasses may do anything
        return None, {}
    names = [name for name in parameters_of(type(made)) if hasattr(made, name)]
    return function, _checked(type(made).__name__, {name: getattr(made, name) for name in names})


def _checked(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options without the reduction, which tasks choose."""
    if options.pop("reduction", "mean") == "sum":
        raise ValueError(
            f"{name}: reduction must be mean, got sum: the gradient would grow with the batch. Leave it out, and "
            "multiply the learning rate if you want it larger"
        )
    return {key: value for key, value in options.items() if key not in ("size_average", "reduce")}


class _Torchs(nn.Module):
    """A function of torch: its mean over a batch, and the loss of each sample. Options that are tensors go along to the
    device."""

    looped = False

    def __init__(self, function: Callable[..., Tensor], options: Mapping[str, Any]):
        super().__init__()
        self.function = function
        self.options = {name: value for name, value in options.items() if not isinstance(value, Tensor)}
        for name, value in options.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value.detach().clone(), persistent=False)
        self.by_index = function in CLASSES.values()

    def forward(self, outputs: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
        tensors = {name: value.to(outputs) for name, value in self.named_buffers()}  # on the meta device, too
        return self.function(outputs, target, **self.options, **tensors, reduction=reduction)

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        losses: Tensor = self(outputs, target, "none")
        return losses if losses.ndim == 1 else losses.flatten(1).mean(1)

    def weights(self, target: Tensor) -> Tensor | None:
        """By what a mean over samples divides: of classes, the weight of each that is not ignored."""
        own: Tensor | None = getattr(self, "weight", None)
        ignored = self.options.get("ignore_index", -1)
        if self.function not in (F.cross_entropy, F.nll_loss) or target.ndim != 1 or (own is None and ignored < 0):
            return None
        counted: Tensor = target != ignored
        return counted.float() if own is None else counted * own.to(target.device)[target]


class _Anybodys(nn.Module):
    """A function of somebody: see `loss_of`. One with an option `reduction` is told none for single samples."""

    by_index = True
    looped = False  # whether samples go through it one by one, since torch.func.vmap can't call it

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self.function = function
        self.each: Callable[..., Any] | None = None
        if isinstance(function, nn.Module) and hasattr(function, "reduction"):
            each: Any = copy.deepcopy(function)
            each.reduction = "none"
            self.each = each
        elif "reduction" in parameters_of(function):
            self.each = functools.partial(function, reduction="none")

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        found: Tensor = self.function(outputs, target)
        return found.mean()

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        if self.each is not None:
            losses: Tensor = self.each(outputs, target)
            return losses if losses.ndim == 1 else losses.flatten(1).mean(1)
        if self.looped:
            return torch.stack([self(outputs[k, None], target[k, None]) for k in range(len(outputs))])
        found: Tensor = torch.func.vmap(lambda z, y: self(z[None], y[None]))(outputs, target)
        return found

    def weights(self, target: Tensor) -> Tensor | None:
        return None


class OfClasses(Loss):
    """A loss of one output for each class. A class is predicted where its output is largest."""

    def __init__(self, criterion: _Torchs | _Anybodys, num_classes: int):
        super().__init__(num_classes)
        self.criterion = criterion

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        mean: Tensor = self.criterion(_float(outputs), self._goal(outputs, target))
        return mean

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.criterion.per_sample(_float(outputs), self._goal(outputs, target))

    def weights(self, target: Tensor) -> Tensor | None:
        return self.criterion.weights(target)

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """Of the two losses that say what outputs mean: logits, or logarithms of probabilities."""
        function = self.criterion.function
        if function is F.cross_entropy:
            return outputs.float().softmax(1)
        return outputs.float().exp() if function is F.nll_loss else None

    def log_probabilities(self, outputs: Tensor) -> Tensor | None:
        return _float(outputs).log_softmax(1) if self.criterion.function in (F.cross_entropy, F.nll_loss) else None

    def confidence(self, outputs: Tensor) -> Tensor | None:
        found = self.probabilities(outputs)
        return None if found is None else found.amax(1)

    def _goal(self, outputs: Tensor, target: Tensor) -> Tensor:
        return target if self.criterion.by_index else soft(target, self.num_classes, _float(outputs).dtype)


class _Elementwise(MeanLoss):
    """A loss of outputs and targets of one shape."""

    def __init__(self, criterion: _Torchs | _Anybodys):
        super().__init__()
        self.criterion = criterion

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        outputs = _float(outputs)
        mean: Tensor = self.criterion(outputs, target.to(outputs.dtype))
        return mean

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        outputs = _float(outputs)
        return self.criterion.per_sample(outputs, target.to(outputs.dtype))


class OfNumbers(_Elementwise, RegressionLoss):
    """A loss of standardised numbers."""


class OfLabels(_Elementwise, LabelLoss):
    """A loss of labels. A label is predicted where its output is positive."""


def _try(loss: OfClasses | _Elementwise, name: str, form: Form) -> None:
    """Raises ValueError unless the mean of a batch is that of its samples, each by itself."""
    numbers = torch.linspace(-1, 1, _SAMPLES * (form.num_classes or form.num_outputs)).mul(50)
    outputs, y = numbers.sin().view(_SAMPLES, -1), numbers.cos().view(_SAMPLES, -1)
    if form.kind_of_y == "class":
        # Logarithms of probabilities are logits, too.
        outputs, y = outputs.log_softmax(1), torch.arange(_SAMPLES) % (form.num_classes or 1)
    elif form.kind_of_y == "labels":
        y = (y > 0).float()
    try:
        mean = loss(outputs, y)
        try:
            losses = loss.per_sample(outputs, y)
        except Exception:  # it looks at values, which vmap can't
            loss.criterion.looped = True
            losses = loss.per_sample(outputs, y)
        alone = torch.cat([loss.per_sample(outputs[k, None], y[k, None]) for k in range(_SAMPLES)])
    except Exception as error:
        raise ValueError(
            f"{name} can't be computed of outputs {tuple(outputs.shape)} and targets {tuple(y.shape)} of the type "
            f"{y.dtype}: {error}"
        ) from error
    weights = loss.weights(y)
    of_samples = losses.mean() if weights is None else losses.sum() / weights.sum()
    if losses.shape != (_SAMPLES,) or not _close(losses, alone) or not _close(mean, of_samples):
        raise ValueError(
            f"{name} of a batch is not the mean of its samples, each by itself, so the loss of a set would depend on "
            "how it is cut into batches. Let it give the loss of each sample, (N,), or write a subclass of "
            "paribus.techniques.losses.Loss"
        )


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


def _unfit(name: str, form: Form) -> str:
    targets = {"class": "classes", "number": "numbers", "labels": "labels of 0 and 1"}[form.kind_of_y]
    return (
        f"{name} does not go with targets that are {targets}, and outputs of any size. Of torch's there are "
        f"{', '.join(f'torch.nn.{each}' for each in FITTING[form.kind_of_y])}"
    )


def _name(made: Any) -> str:
    while isinstance(made, functools.partial):
        made = made.func
    return str(getattr(made, "__name__", type(made).__name__))


def _module(made: Any) -> str:
    while isinstance(made, functools.partial):
        made = made.func
    return str(made.__module__ if hasattr(made, "__name__") else type(made).__module__)


def _float(outputs: Tensor) -> Tensor:
    return outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs

r"""Losses for classification, and how a prediction is read off the outputs that each of them trains.

Shapes: outputs z (N, O); target y (N,) class indices, or (N, K) soft targets, rows of probabilities.
Half-precision outputs are computed with in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from paribus.techniques.augment import soft
from paribus.techniques.elementwise import MeanLoss


class Loss(MeanLoss):
    """The mean over a batch, and the readings of the outputs.

    num_classes: K of the data set.
    """

    def __init__(self, num_classes: int):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"classification needs at least two classes, got {num_classes}")
        self.num_classes = num_classes

    @property
    def num_outputs(self) -> int:
        """How many outputs O a network needs."""
        return self.num_classes

    def predict(self, outputs: Tensor) -> Tensor:
        """The predicted classes, (N,)."""
        return outputs.argmax(1)

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """The probability that the outputs give to each class, (N, K); None where they give none."""
        return outputs.float().softmax(1)

    def log_probabilities(self, outputs: Tensor) -> Tensor | None:
        """Their logarithms, (N, K); None where the outputs give none, or may give some of 0."""
        return _float(outputs).log_softmax(1)

    def confidence(self, outputs: Tensor) -> Tensor | None:
        """The probability that the outputs give to the predicted class, (N,); None where they give none."""
        return _columns(outputs.float()).softmax(1).amax(1).flatten()


class CrossEntropy(Loss):
    r"""$-\sum_k \tilde y_k \log \mathrm{softmax}(z)_k + c\, (\log \sum_k e^{z_k})^2$, $\tilde y = (1 - s)\,y + s / K$.

    label_smoothing: s in [0, 1). At 0, and with c = 0, this is the negative log-likelihood of the labels.
    z_loss: c >= 0, which keeps logits from drifting: cross-entropy does not change when all of them grow alike.

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7, for the smoothing; de Brebisson & Vincent 2016,
    arXiv:1604.08859, and Chowdhery et al. 2022, arXiv:2204.02311, section 5, for the z loss.
    """

    def __init__(self, num_classes: int, label_smoothing: float = 0.0, z_loss: float = 0.0):
        super().__init__(num_classes)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}. Try 0.1")
        if not 0.0 <= z_loss < float("inf"):
            raise ValueError(f"z_loss must be finite and at least 0, got {z_loss}. Try 1e-4")
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        mean = F.cross_entropy(_float(outputs), target, label_smoothing=self.label_smoothing)
        return mean + self.z_loss * self._drift(outputs).mean() if self.z_loss else mean

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        z, outputs = outputs, _columns(_float(outputs))
        if outputs.ndim == 3:
            target = (target.t() if target.ndim == 2 else target).unsqueeze(0)
        losses = F.cross_entropy(outputs, target, reduction="none", label_smoothing=self.label_smoothing).flatten()
        return losses + self.z_loss * self._drift(z) if self.z_loss else losses

    def _drift(self, outputs: Tensor) -> Tensor:
        """The square of the logarithm of the normaliser of the softmax, (N,)."""
        return _float(outputs).logsumexp(1).square()


class SquaredError(Loss):
    r"""$\sum_k (1 + (w - 1) y_k) (z_k - M y_k)^2$ between the raw outputs and M times the one-hot target.

    For a sample of class c that is $w (z_c - M)^2 + \sum_{k \ne c} z_k^2$, and at w = M = 1 the squared distance.

    weight: w > 0, of the term of the sample's class, which is one among K. scale: M > 0, of the target: what
    the output of that class should be.

    The loss is smallest where $z_k = w M p_k / (1 + (w - 1) p_k)$ with p_k = P(k | x), so the outputs estimate the
    probabilities themselves. Probabilities and confidence solve this for p, with outputs cut to [0, M].

    Source: Hui & Belkin 2021, arXiv:2006.07322; weight and scale are the k and M of its rescaled loss.
    """

    def __init__(self, num_classes: int, weight: float = 1.0, scale: float = 1.0):
        super().__init__(num_classes)
        for name, value in (("weight", weight), ("scale", scale)):
            if not 0.0 < value < float("inf"):
                raise ValueError(f"{name} of the squared error must be positive and finite, got {value}. 1 is plain")
        self.weight = weight
        self.scale = scale

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        outputs = _float(outputs)
        one_hot = soft(target, outputs.shape[1], outputs.dtype)
        squares = (outputs - (one_hot if self.scale == 1.0 else self.scale * one_hot)).square()
        return (squares if self.weight == 1.0 else squares * (1.0 + (self.weight - 1.0) * one_hot)).sum(1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return self._probability(outputs.float())

    def log_probabilities(self, outputs: Tensor) -> None:
        return None

    def confidence(self, outputs: Tensor) -> Tensor:
        return self._probability(outputs.float().amax(1))

    def _probability(self, z: Tensor) -> Tensor:
        """Where the loss is smallest, solved for p; it grows with z."""
        share = (z if self.scale == 1.0 else z / self.scale).clamp(0.0, 1.0)
        return share if self.weight == 1.0 else share / (self.weight - (self.weight - 1.0) * share)


class SoftmaxSquaredError(Loss):
    r"""$\sum_k (\mathrm{softmax}(z)_k - y_k)^2$, the squared error of the lecture notes.

    Its gradient in z vanishes for a confident wrong output: with p = softmax(z) it is 2 (diag(p) - p p^T)(p - y).

    Also known as the Brier score (Brier 1950).
    """

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        outputs = _float(outputs)
        return (outputs.softmax(1) - soft(target, outputs.shape[1], outputs.dtype)).square().sum(1)


class ScalarSquaredError(Loss):
    r"""$(z - k / (K - 1))^2$ for class number k: a class index as a number, one output, the nearest class wins.

    Classes next to each other in number are then close in target, which one-hot targets avoid.

    order: class c stands at position order[c] on the line; null for the order of the numbers.

    A soft target stands at the mean position of its classes. There is no confidence, so no calibration error.
    """

    position: Tensor

    def __init__(self, num_classes: int, order: list[int] | None = None):
        super().__init__(num_classes)
        order = list(range(num_classes)) if order is None else order
        if sorted(order) != list(range(num_classes)):
            raise ValueError(f"order must hold every number from 0 to {num_classes - 1} once, got {order}")
        self.register_buffer("position", torch.tensor(order, dtype=torch.float32) / (num_classes - 1), persistent=False)

    @property
    def num_outputs(self) -> int:
        return 1

    def per_sample(self, outputs: Tensor, target: Tensor) -> Tensor:
        outputs = _float(outputs)
        position = self.position.to(outputs)
        goal = position[target] if target.ndim == 1 else target.to(outputs.dtype) @ position
        return (outputs[:, 0] - goal).square()

    def predict(self, outputs: Tensor) -> Tensor:
        return (outputs.float() - self.position.to(outputs.device)).abs().argmin(1)

    def probabilities(self, outputs: Tensor) -> None:
        return None

    def log_probabilities(self, outputs: Tensor) -> None:
        return None

    def confidence(self, outputs: Tensor) -> None:
        return None


REGISTER = {"AVX2": 32, "AVX512": 64}.get(torch.backends.cpu.get_cpu_capability(), 0)  # bytes
FEW = 64  # rows: with fewer, two more operations take longer than they save


def _columns(rows: Tensor) -> Tensor:
    """(N, K) as the columns of (1, K, N), where softmax is faster over those.

    torch's kernel takes the numbers of rows that do not fill a register one by one: ten classes, with AVX-512, three to
    seven times slower than as columns. Longer rows are faster than columns.
    """
    short = rows.device.type == "cpu" and rows.shape[1] * rows.element_size() < REGISTER
    return rows.t().contiguous().unsqueeze(0) if short and rows.shape[0] >= FEW else rows


def _float(outputs: Tensor) -> Tensor:
    return outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs

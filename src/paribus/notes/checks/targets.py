"""Section 1.4 of the notes: targets and losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from paribus.evidence.measurement import Measurement, at_least, exact
from paribus.store.store import Store
from paribus.techniques.losses import CrossEntropy, Loss, ScalarSquaredError, SoftmaxSquaredError


def distances(store: Store) -> list[Measurement]:
    r"""All pairs of one-hot targets are $\sqrt 2$ apart; class numbers are up to K - 1 times as far."""
    classes = 10
    one_hot = torch.pdist(torch.eye(classes, dtype=torch.float64))
    line = torch.pdist(ScalarSquaredError(classes).position.double()[:, None])
    ratio = float(line.max() / line.min())
    return [
        exact("smallest distance of one-hot targets", float(one_hot.min()), math.sqrt(2), 1e-12,
              "all classes are the square root of 2 apart", "one-hot", n=len(one_hot)),
        exact("largest over smallest", float(one_hot.max() / one_hot.min()), 1.0, 1e-12, "and none is nearer",
              "one-hot", n=len(one_hot)),
        exact("largest over smallest", ratio, classes - 1.0, 1e-5,
              f"as numbers, classes are up to {ratio:.0f} times as far from one class as from another", "class numbers",
              n=len(line)),
    ]  # fmt: skip


def likelihood(store: Store) -> list[Measurement]:
    r"""$-\sum_k y_k \ln p_k = -\ln p(y)$, sample by sample and in the gradient; what minimises the sum over counts
    $n_k$ is the maximum-likelihood estimate $p_k = n_k / n$.
    """
    generator = torch.Generator().manual_seed(0)
    z = (3 * torch.randn(1000, 10, generator=generator, dtype=torch.float64)).requires_grad_()
    y = torch.randint(10, (1000,), generator=generator)
    loss = CrossEntropy(10)
    ours = loss.per_sample(z, y)
    theirs = -torch.distributions.Categorical(logits=z).log_prob(y)
    gap = float((ours - theirs).detach().abs().max())
    gradients = [torch.autograd.grad(each.sum(), z, retain_graph=True)[0] for each in (ours, theirs)]
    slope = float((gradients[0] - gradients[1]).abs().max())
    counts = torch.tensor([3, 5, 2], dtype=torch.long)
    labels = torch.repeat_interleave(torch.arange(3), counts)
    logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], lr=1.0, max_iter=100, tolerance_grad=1e-12, tolerance_change=0.0)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = CrossEntropy(3)(logits.expand(len(labels), 3), labels)
        value.backward()
        return value

    optimizer.step(closure)
    off = float((logits.detach().softmax(1)[0] - counts.double() / counts.sum()).abs().max())
    return [
        exact("largest gap to −ln p(y)", gap, 0.0, 1e-12, "the loss is the negative log-likelihood", "value", n=len(y)),
        exact("largest gap of gradients", slope, 0.0, 1e-12, "and so are its gradients", "gradient", n=len(y)),
        exact("gap to the maximum-likelihood estimate", off, 0.0, 1e-8, "its minimum: observed shares", "minimiser"),
    ]  # fmt: skip


def vanishing(store: Store) -> list[Measurement]:
    r"""Two classes, outputs (a, 0), the second is right, $\sigma = 1 / (1 + e^{-a})$. The gradient of the squared error
    after a softmax is $4 \sigma^2 (1 - \sigma) (1, -1)$: zero for the confident wrong; that of cross-entropy is
    $\sigma (1, -1)$. Steps of descent at rate 1 from a = 10 until the answer is right tell the consequence.
    """
    a = 10.0
    sigma = 1 / (1 + math.exp(-a))
    norms = {}
    for name, loss in (("softmax", SoftmaxSquaredError(2)), ("entropy", CrossEntropy(2))):
        norms[name] = float(_gradient(loss, torch.tensor([[a, 0.0]], dtype=torch.float64)).norm())
    root = math.sqrt(2)
    steps = {
        name: _steps(loss, a) for name, loss in (("softmax", SoftmaxSquaredError(2)), ("entropy", CrossEntropy(2)))
    }
    ratio = steps["softmax"] / steps["entropy"]
    return [
        exact("gradient norm, squared error after a softmax", norms["softmax"], root * 4 * sigma**2 * (1 - sigma),
              1e-12, f"the gradient is {norms['softmax']:.1g}, though wrong", "softmax, then squared error"),
        exact("gradient norm, cross-entropy", norms["entropy"], root * sigma, 1e-12,
              f"there cross-entropy has a gradient of {norms['entropy']:.2f}, nearly its largest", "cross-entropy"),
        at_least("steps, squared error over cross-entropy", ratio, 10.0,
                 f"until the answer is right: {steps['softmax']} steps against {steps['entropy']}",
                 "descent from there"),
    ]  # fmt: skip


def _gradient(loss: Loss, z: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    return torch.autograd.grad(loss(z, torch.tensor([1])), z)[0]


def _steps(loss: Loss, a: float, rate: float = 1.0, most: int = 100_000) -> int:
    """Steps of gradient descent until class 1 has the larger output."""
    z = torch.tensor([[a, 0.0]], dtype=torch.float64)
    for step in range(most):
        if float(z[0, 1]) > float(z[0, 0]):
            return step
        z = z - rate * _gradient(loss, z)
    return most

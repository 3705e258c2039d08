"""Section 1.5 of the notes: identities and bounds of normalization layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paribus.evidence.measurement import Measurement, exact
from paribus.store.store import Store
from paribus.techniques.norms import norm
from paribus.techniques.norms.batch_norm import BatchNorm, BatchRenorm
from paribus.techniques.norms.parametrize import spectral_norm


def scale_blindness(store: Store) -> list[Measurement]:
    r"""$\mathrm{BN}(a W x) = \mathrm{BN}(W x)$ for a > 0, so the gradient at $a W$ is $1 / a$ of that at W: a step
    that is too large makes the next ones smaller. (eps negligible.)
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 20, generator=generator, dtype=torch.float64)
    w = torch.randn(8, 20, generator=generator, dtype=torch.float64)
    goal = torch.randn(64, 8, generator=generator, dtype=torch.float64)

    def run(scale: float) -> tuple[Tensor, Tensor]:
        layer = BatchNorm(8, "vector", eps=1e-30).double()
        weight = (scale * w).requires_grad_()
        out = layer(x @ weight.T)
        return out.detach(), torch.autograd.grad((out * goal).sum(), weight)[0]

    (out, gradient), (larger, smaller) = run(1.0), run(10.0)
    return [
        exact("largest change of the output", _gap(out, larger), 0.0, 1e-10, "ten times the weights, same output",
              "output"),
        exact("gradient norm at 10 W over that at W", float(smaller.norm() / gradient.norm()), 0.1, 1e-10,
              "and a tenth of the gradient", "gradient"),
        exact("cosine of weights and gradient", _cosine(w, gradient), 0.0, 1e-10,
              "no step changes the length to first order", "direction"),
    ]  # fmt: skip


def moving_average(store: Store) -> list[Measurement]:
    r"""$\bar\mu \leftarrow p \bar\mu + (1 - p) \mu^t$ over 20 batches, p = 0.9, against torch's running mean with
    momentum 0.1.
    """
    generator = torch.Generator().manual_seed(0)
    batches = 3 + 2 * torch.randn(20, 32, 5, generator=generator, dtype=torch.float64)
    theirs = nn.BatchNorm1d(5, momentum=0.1).double()
    ours = BatchNorm(5, "vector", momentum=0.1).double()
    mean = torch.zeros(5, dtype=torch.float64)
    for batch in batches:
        mean = 0.9 * mean + (1 - 0.9) * batch.mean(0)
        theirs(batch)
        ours(batch)
    assert theirs.running_mean is not None
    return [
        exact("largest gap to torch", _gap(mean, theirs.running_mean), 0.0, 1e-12, "p is 1 − momentum", "torch", n=20),
        exact(
            "largest gap to Paribus", _gap(mean, ours.running_mean), 0.0, 1e-12, "p is 1 − momentum", "Paribus", n=20
        ),
    ]


def limits(store: Store) -> list[Measurement]:
    r"""Batch renorm at (r_max, d_max) = (1, 0) is batch norm; without limits its output in training is that of
    evaluation with the same averages. Group norm with as many groups as channels is instance norm, with one group layer
    norm over (C, H, W).
    """
    generator = torch.Generator().manual_seed(0)
    x = 1 + 2 * torch.randn(16, 6, 5, 5, generator=generator, dtype=torch.float64)
    found = []
    plain = BatchNorm(6, "map").double()
    renorm = BatchRenorm(6, "map").double()  # before its ramps begin
    found.append(
        exact("largest gap of outputs", _gap(plain(x), renorm(x)), 0.0, 1e-10, "batch renorm begins as batch norm",
              "renorm (1, 0) = batch norm")
    )  # fmt: skip
    free = BatchRenorm(6, "map", r_max=1e9, d_max=1e9, start=0.0, r_full=0.0, d_full=0.0).double()
    free.running_mean.fill_(0.7)
    free.running_var.fill_(2.5)
    free.set_progress(1.0)
    still = BatchRenorm(6, "map").double().eval()
    still.load_state_dict(free.state_dict())
    with torch.no_grad():
        gap = _gap(free.train()(x), still(x))
    found.append(
        exact(
            "largest gap of outputs",
            gap,
            0.0,
            1e-8,
            "without limits training and test agree",
            "renorm (∞, ∞) = evaluation",
        )
    )
    for name, groups, other in (
        ("GN(C, C) = instance norm", 6, norm.instance),
        ("GN(1, C) = layer norm", 1, norm.layer),
    ):
        one, two = norm.group(6, "map", groups=groups).double(), other(6, "map").double()
        found.append(exact("largest gap of outputs", _gap(one(x), two(x)), 0.0, 1e-10, "the same function", name))
    return found


def lipschitz(store: Store) -> list[Measurement]:
    r"""The slope $\max_v \|W v\| / \|v\|$ of a layer after spectral norm has iterated: 1 for a matrix. A convolution is
    divided by the norm of the matrix (out, in kh kw), and its slope as an operator lies between 1 and $\sqrt{kh\, kw}$.
    Both by power iteration on the operator itself.
    """
    torch.manual_seed(0)
    found = []
    for name, layer, shape, bound in (
        ("linear", nn.Linear(64, 32, bias=False), (1, 64), 1.0),
        ("convolution 3 x 3", nn.Conv2d(8, 16, 3, padding=1, bias=False), (1, 8, 16, 16), 3.0),
    ):
        network = nn.Sequential(layer).double()
        spectral_norm(network, n_power_iterations=20)
        for _ in range(20):
            network(torch.zeros(shape, dtype=torch.float64))
        slope = _slope(network.eval(), shape)
        words = (
            "a matrix has slope 1"
            if bound == 1
            else f"as an operator a convolution has slope {slope:.2f}: above 1, and below the bound of {bound:g}"
        )
        found.append(exact("slope of the layer", slope, 1.0, 1e-3, words, name))
    return found


def _slope(network: nn.Module, shape: tuple[int, ...]) -> float:
    """The largest singular value of a linear map, by power iteration on its Gram operator."""
    v = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for _ in range(300):
        v = (v / v.norm()).requires_grad_()
        image = network(v)
        (v,) = torch.autograd.grad(0.5 * image.square().sum(), v)
    return float(v.norm().sqrt())


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


def _cosine(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))

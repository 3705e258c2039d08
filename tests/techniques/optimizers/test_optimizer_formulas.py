"""The options against their papers' algorithms, written once more in NumPy: 100 updates to 1e-6."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONF = Path(__file__).parents[3] / "conf/optimizer"
UPDATES = 100


# Each reference takes the options and returns update(w, g, t) -> w for one tensor, t from 1.


def sgd(lr, weight_decay, momentum, nesterov=False, **_):
    buffer = 0.0

    def update(w, g, t):
        nonlocal buffer
        g = g + weight_decay * w
        buffer = momentum * buffer + g
        return w - lr * (g + momentum * buffer if nesterov else buffer)

    return update


def adagrad(lr, weight_decay, eps, **_):
    total = 0.0

    def update(w, g, t):
        nonlocal total
        g = g + weight_decay * w
        total = total + g**2
        return w - lr * g / (np.sqrt(total) + eps)

    return update


def rmsprop(lr, weight_decay, alpha, eps, **_):
    v = 0.0

    def update(w, g, t):
        nonlocal v
        g = g + weight_decay * w
        v = alpha * v + (1 - alpha) * g**2
        return w - lr * g / (np.sqrt(v) + eps)

    return update


def adadelta(lr, weight_decay, rho, eps, **_):
    v = u = 0.0

    def update(w, g, t):
        nonlocal v, u
        g = g + weight_decay * w
        v = rho * v + (1 - rho) * g**2
        step = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * step**2
        return w - lr * step

    return update


def adam(lr, weight_decay, betas, eps, decoupled=False, **_):
    m = v = 0.0

    def update(w, g, t):
        nonlocal m, v
        if decoupled:
            w = w - lr * weight_decay * w
        else:
            g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        return w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)

    return update


def adamw(**options):
    return adam(**options, decoupled=True)


def radam(lr, weight_decay, betas, eps, **_):
    m = v = 0.0
    rho_inf = 2 / (1 - betas[1]) - 1

    def update(w, g, t):
        nonlocal m, v
        g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        rho = rho_inf - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        unbiased = m / (1 - betas[0] ** t)
        if rho <= 5:  # torch's threshold; the paper has 4
            return w - lr * unbiased
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return w - lr * r * unbiased * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)

    return update


def lion(lr, weight_decay, betas, **_):
    m = 0.0

    def update(w, g, t):
        nonlocal m
        step = np.sign(betas[0] * m + (1 - betas[0]) * g)
        m = betas[1] * m + (1 - betas[1]) * g
        return w - lr * (step + weight_decay * w)

    return update


def lamb(lr, weight_decay, betas, eps, **_):
    m = v = 0.0

    def update(w, g, t):
        nonlocal m, v
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        step = m / (np.sqrt(v) + eps) + weight_decay * w
        phi = min(np.linalg.norm(w), 10.0)
        return w - lr * phi / (np.linalg.norm(step) + eps) * step

    return update


def lars(lr, weight_decay, momentum, trust_coefficient, **_):
    buffer = 0.0

    def update(w, g, t):
        nonlocal buffer
        if w.ndim > 1:
            ratio = trust_coefficient * np.linalg.norm(w) / (np.linalg.norm(g) + weight_decay * np.linalg.norm(w))
            g = ratio * (g + weight_decay * w)
        buffer = momentum * buffer + g
        return w - lr * buffer

    return update


def adabelief(lr, weight_decay, betas, eps, **_):
    m = s = 0.0

    def update(w, g, t):
        nonlocal m, s
        w = w - lr * weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        s = betas[1] * s + (1 - betas[1]) * (g - m) ** 2 + eps
        return w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(s / (1 - betas[1] ** t)) + eps)

    return update


def schedulefree_sgd(lr, weight_decay, momentum, **_):
    """x averages z, gradients are taken at y between them (algorithm 1); w is y."""
    x = z = None

    def update(y, g, t):
        nonlocal x, z
        x, z = (y, y) if x is None else (x, z)
        z = z - lr * (g + weight_decay * y)
        x = (1 - 1 / t) * x + z / t
        return (1 - momentum) * z + momentum * x

    return update


def shampoo(lr, weight_decay, betas, start_preconditioning_step, preconditioning_compute_steps, matrix_eps, **_):
    """Algorithm 2 with averages for sums, the gradient's length (graft_type 1), and Nesterov's momentum; vectors
    as they are. Decay joins the step after its length is set."""
    buffer = plain = 0.0
    statistics = roots = None

    def update(w, g, t):
        nonlocal buffer, plain, statistics, roots
        if statistics is None and w.ndim > 1:
            statistics = [matrix_eps * np.eye(n) for n in w.shape]
            roots = [np.eye(n) for n in w.shape]
        step = g
        for axis in range(w.ndim if w.ndim > 1 else 0):
            sides = np.moveaxis(g, axis, 0).reshape(w.shape[axis], -1)
            statistics[axis] = betas[1] * statistics[axis] + (1 - betas[1]) * sides @ sides.T
            if t % preconditioning_compute_steps == 0:
                values, vectors = np.linalg.eigh(statistics[axis])
                roots[axis] = vectors * values ** (-1 / (2 * w.ndim)) @ vectors.T
            step = np.moveaxis(np.tensordot(roots[axis], step, (1, axis)), 0, axis)
        step = step * np.linalg.norm(g) / np.linalg.norm(step) + weight_decay * w
        buffer = betas[0] * buffer + step
        plain = betas[0] * plain + g + weight_decay * w
        if t < start_preconditioning_step:
            return w - lr * (g + weight_decay * w + betas[0] * plain)
        return w - lr * (step + betas[0] * buffer)

    return update


def soap(lr, weight_decay, betas, precondition_frequency, eps, **_):
    """Algorithm 3 of the paper's code: the first gradient only begins the statistics; vectors are Adam's."""
    m = v = 0.0
    statistics = bases = None

    def turned(x, back=False):
        for axis, basis in enumerate(bases):
            x = np.moveaxis(np.tensordot(basis if back else basis.T, x, (1, axis)), 0, axis)
        return x

    def update(w, g, t):
        nonlocal m, v, statistics, bases
        sides = [np.moveaxis(g, axis, 0).reshape(n, -1) for axis, n in enumerate(w.shape)] if w.ndim > 1 else []
        if t == 1:
            statistics = [(1 - betas[1]) * side @ side.T for side in sides]
            bases = [np.linalg.eigh(statistic)[1][:, ::-1] for statistic in statistics]
            return w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * turned(g) ** 2
        rate = lr * np.sqrt(1 - betas[1] ** (t - 1)) / (1 - betas[0] ** (t - 1))
        w = (w - rate * turned(turned(m) / (np.sqrt(v) + eps), back=True)) * (1 - lr * weight_decay)
        statistics = [betas[1] * s + (1 - betas[1]) * side @ side.T for s, side in zip(statistics, sides, strict=True)]
        if (t - 1) % precondition_frequency == 0:
            for axis, statistic in enumerate(statistics):
                product = statistic @ bases[axis]
                order = np.argsort((bases[axis] * product).sum(0))[::-1]
                v = np.take(v, order, axis)
                bases[axis] = np.linalg.qr(product[:, order])[0]
        return w

    return update


def nadam(lr, weight_decay, betas, eps, momentum_decay, **_):
    m = v = 0.0
    product = 1.0

    def update(w, g, t):
        nonlocal m, v, product
        g = g + weight_decay * w
        now, later = (betas[0] * (1 - 0.5 * 0.96 ** (s * momentum_decay)) for s in (t, t + 1))
        product *= now
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        step = later * m / (1 - product * later) + (1 - now) * g / (1 - product)
        return w - lr * step / (np.sqrt(v / (1 - betas[1] ** t)) + eps)

    return update


def adafactor(lr, weight_decay, beta2_decay, eps, d, **_):
    """Of a kernel the last two axes are the matrix, as in all implementations."""
    rows = columns = v = 0.0

    def update(w, g, t):
        nonlocal rows, columns, v
        small = np.finfo(w.dtype).eps if eps[0] is None else eps[0]
        beta = 1 - t**beta2_decay
        rate = max(eps[1], np.sqrt((w**2).mean())) * min(lr, 1 / np.sqrt(t))
        w = w * (1 - lr * weight_decay)
        if w.ndim > 1:
            rows = beta * rows + (1 - beta) * (g**2).mean(-1, keepdims=True)
            columns = beta * columns + (1 - beta) * (g**2).mean(-2, keepdims=True)
            square = rows * columns / np.maximum(rows.mean(-2, keepdims=True), small)
        else:
            square = v = beta * v + (1 - beta) * g**2
        step = g / np.sqrt(np.maximum(square, small**2))
        return w - rate * step / max(1.0, np.sqrt((step**2).mean()) / d)

    return update


def schedulefree_adamw(lr, weight_decay, betas, eps, **_):
    x = z = None
    v = 0.0

    def update(y, g, t):
        nonlocal x, z, v
        x, z = (y, y) if x is None else (x, z)
        v = betas[1] * v + (1 - betas[1]) * g**2
        z = z - lr * (g / (np.sqrt(v / (1 - betas[1] ** t)) + eps) + weight_decay * y)
        x = (1 - 1 / t) * x + z / t
        return (1 - betas[0]) * z + betas[0] * x

    return update


REFERENCES = {
    "sgd": sgd,
    "momentum": sgd,
    "nesterov": sgd,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adadelta": adadelta,
    "adam": adam,
    "adamw": adamw,
    "radam": radam,
    "lion": lion,
    "lamb": lamb,
    "lars": lars,
    "adabelief": adabelief,
    "schedulefree_sgd": schedulefree_sgd,
    "schedulefree_adamw": schedulefree_adamw,
    "nadam": nadam,
    "adafactor": adafactor,
    "soap": soap,
    "shampoo": shampoo,
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("weight_decay", [None, 0.02])
def test_an_option_follows_its_algorithm(name, weight_decay):
    config = OmegaConf.load(CONF / f"{name}.yaml")
    if weight_decay is not None:
        config.weight_decay = weight_decay
    options = {k: v for k, v in OmegaConf.to_container(config).items() if not k.startswith("_")}
    random = np.random.default_rng(0)
    # The second is the CNN's first layer in small: one channel goes in.
    starts = [random.normal(size=shape) for shape in [(4, 3), (4, 1, 2, 2), (2, 3, 2, 2), (5,)]]
    noise = [[random.normal(size=w.shape) for w in starts] for _ in range(UPDATES)]
    gradient = lambda w, n: 0.3 * (w - 1.0) + n  # noqa: E731  a bowl around 1, seen through noise

    references = [REFERENCES[name](**options) for _ in starts]
    expected = [w.copy() for w in starts]
    parameters = [torch.tensor(w, requires_grad=True) for w in starts]
    optimizer = instantiate(config, _convert_="all")(parameters)
    if hasattr(optimizer, "train"):
        optimizer.train()
    for t in range(UPDATES):
        for k, p in enumerate(parameters):
            p.grad = torch.tensor(gradient(p.detach().numpy(), noise[t][k]))
        optimizer.step()
        expected = [references[k](w, gradient(w, noise[t][k]), t + 1) for k, w in enumerate(expected)]
    for p, w in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), w, rtol=0, atol=1e-6)

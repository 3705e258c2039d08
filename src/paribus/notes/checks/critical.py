"""Section 1.1 of the notes: critical points, saddles and minima."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paribus.datasets.digits import Digits
from paribus.datasets.prepare import TensorSet, prepare
from paribus.datasets.seeds import mix
from paribus.evidence.measurement import Measurement, Outcome, exact
from paribus.extras.curvature.analysis import Effort, analyse
from paribus.extras.curvature.escape import confirm
from paribus.extras.curvature.objective import Function, Risk
from paribus.extras.surfaces.catalogue import TwoFactors
from paribus.extras.surfaces.descend import descend
from paribus.models.dense import MLP
from paribus.stats.proportions import clopper_pearson
from paribus.store.store import Store
from paribus.techniques.losses import CrossEntropy
from paribus.techniques.schedules import Constant

SETTLED = 10.0  # a gradient norm that fell at least so many times is that of a critical point
# A descent would prefer minima. So many products hold the whole Hessian of 226 parameters: fewer and quicker steps.
FAIR = Effort(refine_steps=200, refine_products=300, probes=0, downhill=False)
PATIENCE, IMPROVES = 5, 0.01  # as in paribus.extras.curvature.gradients.Plateau


def plateaus(store: Store) -> list[Measurement]:
    r"""Share of trainings whose gradient norm, at the onset of a plateau, is at least 10 times below the initial one.

    MLPs with tanh on the digits, momentum 0.9, lr 0.1, weight decay 0.01, which is part of the loss and without which
    no critical point is in reach; loss and gradient of the whole training set every 20 updates. The onset is the last
    measurement that improved the loss by 1 %, before 5 that did not. Batches of 32 and full ones, else all equal.

    Source: Frye et al. 2021, arXiv:2003.10397.
    """
    found = []
    for regime, batch in (("batches of 32", 32), ("full batches", None)):
        ratios = [r for seed in range(10) if (r := _onset_ratio(batch, seed)) is not None]
        share = clopper_pearson(sum(ratio >= SETTLED for ratio in ratios), len(ratios))
        outcome: Outcome = "SUPPORTED" if share.low > 0.5 else "REFUTED" if share.high < 0.5 else "INCONCLUSIVE"
        typical = sorted(ratios)[len(ratios) // 2] if ratios else math.nan
        words = (
            f"{share.count} of {share.n} plateaus are critical points; the gradient norm fell {typical:.3g} times "
            "(median)"
            if ratios
            else "no training reached a plateau"
        )
        quantity = "share of plateaus at a critical point"
        found.append(
            Measurement(
                regime, quantity, share.share, outcome, words, 0.5, math.nan, share.low, share.high, share.n, "at least"
            )
        )
    return found


def _onset_ratio(batch: int | None, seed: int) -> float | None:
    """Initial over onset gradient norm; None where training never stopped improving. batch: None for all samples."""
    data, decay = digits(1200), 0.01
    torch.manual_seed(mix(seed, 0))
    network = MLP((1, 8, 8), 10, width=64, depth=2, activation="tanh")
    loss, parameters = CrossEntropy(10), list(network.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=decay)
    generator = torch.Generator().manual_seed(mix(seed, 1))
    initial, best, waited = None, (math.inf, math.inf), 0
    for update in range(4000):
        if update % 20 == 0:
            penalty = torch.stack([p.square().sum() for p in parameters]).sum()
            risk = loss(network(data.x), data.y) + decay / 2 * penalty
            norm = _norm(torch.autograd.grad(risk, parameters))
            value = float(risk.detach())
            initial = norm if initial is None else initial
            if value < (1 - IMPROVES) * best[0]:
                best, waited = (value, norm), 0
            else:
                waited += 1
            if waited == PATIENCE:
                return initial / max(best[1], 1e-300)
        x, y = data.x, data.y
        if batch is not None:
            x, y = data.gather(torch.randint(len(data), (batch,), generator=generator))
        optimizer.zero_grad()
        loss(network(x), y).backward()
        optimizer.step()
    return None


def saddle_escape(store: Store) -> list[Measurement]:
    r"""On $(1 - w_1 w_2)^2$: from $(\epsilon, \epsilon)$ gradient descent is r away from the saddle after
    $T = \ln(r / (\epsilon \sqrt 2)) / \ln(1 + 2 \eta)$ steps; from (a, -a) it converges to it; a step of length e along
    the eigenvector of $\lambda_{min} = -2$ lowers the loss by $e^2 |\lambda| / 2$.
    """
    rate, epsilon, r = 0.05, 1e-4, 0.03
    make = functools.partial(torch.optim.SGD, lr=rate)
    path = descend(TwoFactors(start=(epsilon, epsilon)), make, Constant(), 200)
    distance = torch.from_numpy(path.points).norm(dim=1)
    steps = int((distance >= r).nonzero()[0])
    law = math.log(r / (epsilon * math.sqrt(2))) / math.log(1 + 2 * rate)
    stuck = descend(TwoFactors(start=(0.5, -0.5)), make, Constant(), 400)
    end = float(torch.from_numpy(stuck.points[-1]).norm())
    objective, origin = Function(TwoFactors()), torch.zeros(2, dtype=torch.float64)
    _, gradient = objective.gradient(origin)
    values, vectors = torch.linalg.eigh(objective.hessian(origin))
    left = confirm(objective, origin, gradient, vectors[:, 0], float(values[0]))
    return [
        exact("steps to leave (ε, ε)", steps, law, 1.0, f"{steps} steps, the law says {law:.1f}", "off the ridge"),
        exact("distance after 400 steps from (a, −a)", end, 0.0, 1e-6,
              "on the ridge descent runs into the saddle and stays: escape needs a push", "on the ridge"),
        exact("fall of the loss over ε²|λ|/2", left.measured / left.predicted, 1.0, 0.1,
              "a step along the negative curvature lowers the loss as predicted", "eigenvector step"),
    ]  # fmt: skip


def saddles_or_minima(store: Store) -> list[Measurement]:
    r"""Critical points of small networks: refine a point of a training by minimising $\|g\|^2 / 2$, count the signs of
    the Hessian's eigenvalues with a tolerance, and judge.

    MLPs of 8 tanh units on 200 digits of 4 x 4 pixels with weight decay (else the critical point lies at infinity), in
    float64, from the start of training, from early on and from its end; 12 seeds each. Points that are gradient-flat,
    not critical or undetermined are counted and left out of the share.

    Source: Dauphin et al. 2014, arXiv:1406.2572; Frye et al. 2021, arXiv:2003.10397.
    """
    found = []
    for regime, updates in (("near the start", 5), ("early", 60), ("at the end", 2000)):
        verdicts, ratios = [], []
        for seed in range(12):
            verdict, ratio = _critical_point(seed, updates)
            verdicts.append(verdict)
            ratios += [] if ratio is None else [ratio]
        settled = [each for each in verdicts if each in ("strict saddle", "minimum-like")]
        share = clopper_pearson(settled.count("strict saddle"), len(settled))
        outcome: Outcome = "SUPPORTED" if share.low > 0.5 else "REFUTED" if share.high < 0.5 else "INCONCLUSIVE"
        counts = ", ".join(f"{verdicts.count(each)} {each}" for each in dict.fromkeys(verdicts))
        mean = f"; mean minimum ratio {sum(ratios) / len(ratios):.2f}" if ratios else ""
        measured = share.share if settled else math.nan
        found.append(
            Measurement(regime, "share of saddles among critical points", measured, outcome, counts + mean,
                        low=share.low, high=share.high, n=len(settled))
        )  # fmt: skip
    return found


def _critical_point(seed: int, updates: int) -> tuple[str, float | None]:
    data = digits(200)
    x, y = nn.functional.avg_pool2d(data.x.double(), 2), data.y
    torch.manual_seed(mix(seed, 0))
    network = MLP((1, 4, 4), 10, width=8, depth=1, activation="tanh").double()
    number = sum(p.numel() for p in network.parameters())
    risk = Risk(network, CrossEntropy(10), lambda: [(x, y)], len(y), penalty=torch.full((number,), 0.01).double())
    theta = risk.point(network)
    for _ in range(updates):
        theta = theta - 0.5 * risk.gradient(theta)[1]
    result = analyse(risk, theta, FAIR, seed=seed)
    shares = result.shares()
    return result.verdict, shares["minimum_ratio"][0] if shares else None


@functools.cache
def digits(samples: int) -> TensorSet:
    """The first training samples of the digits, standardised, float32."""
    splits = prepare(
        Digits(), validation=237, split_seed=0, subset=samples, label_noise=0.0, noise_seed=0, standardize=True,
        resident="auto",
    )  # fmt: skip
    assert isinstance(splits.train, TensorSet)
    return TensorSet(*splits.train.slice(0, samples))


def _norm(gradients: Sequence[Tensor]) -> float:
    return float(torch.cat([g.flatten() for g in gradients]).norm())

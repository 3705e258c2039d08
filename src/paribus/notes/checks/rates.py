"""Section 1.3 of the notes: learning rates, adaptive ones, and their schedules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from statistics import fmean

import numpy as np
import torch
from torch.optim import Optimizer

from paribus.datasets.seeds import mix
from paribus.evidence.measurement import Measurement, Outcome, at_least, at_most, exact
from paribus.extras.curvature.eigen import extreme, random_unit
from paribus.extras.curvature.objective import Risk
from paribus.extras.surfaces.catalogue import Quadratic, TwoWalls, Valley
from paribus.extras.surfaces.descend import descend
from paribus.models.dense import MLP
from paribus.notes.checks.critical import digits
from paribus.stats.intervals import mean_interval
from paribus.store.store import Store
from paribus.techniques.losses import SquaredError
from paribus.techniques.optimizers.notes import AdagradRMS
from paribus.techniques.schedules import Constant, Cosine, Polynomial, Schedule

Make = Callable[..., Optimizer]


def valley(store: Store) -> list[Measurement]:
    r"""On $\frac h2 x^2$ descent goes straight down for $\eta < 1 / h$, swings from wall to wall above, and diverges
    above $2 / h$; successive gradients have the cosine +1 and -1. Between walls of constant slope w the loss stops at
    a height of about $\eta w^2 / 2$, for ever.
    """
    h = 7.0

    def moves(rate: float) -> np.ndarray:
        surface = Quadratic(curvature=h, dim=1, noise=0.0, start=(1.0,))
        return descend(surface, functools.partial(torch.optim.SGD, lr=rate), Constant(), 3).points[:, 0]

    swings = _threshold(lambda rate: moves(rate)[1] < 0, 0.0, 3 / h)
    grows = _threshold(lambda rate: abs(moves(rate)[1]) > 1, 0.0, 3 / h)
    cosines = [float(np.sign(path[0] * path[1])) for path in (moves(0.5 / h), moves(1.5 / h))]
    walls = TwoWalls()
    rate = 0.1
    path = descend(walls, functools.partial(torch.optim.SGD, lr=rate), Constant(), 3000)
    across = np.abs(path.points[-200:, 0]).mean()
    return [
        exact("rate where it begins to swing, × h", swings * h, 1.0, 1e-6, "below 1 / h descent is monotone", "1 / h"),
        exact("rate where it diverges, × h", grows * h, 2.0, 1e-6, "above 2 / h it diverges", "2 / h"),
        exact("cosine of successive gradients at 0.5 / h", cosines[0], 1.0, 1e-12, "straight down", "cosine"),
        exact("cosine of successive gradients at 1.5 / h", cosines[1], -1.0, 1e-12, "from wall to wall", "cosine"),
        exact("swing between two walls over lr w / 2", across / (rate * walls.wall / 2), 1.0, 0.05,
              f"between walls the loss stops falling at {path.losses[-200:].mean():.2f} instead of 0", "two walls"),
    ]  # fmt: skip


def edge_of_stability(store: Store) -> list[Measurement]:
    r"""Full-batch gradient descent on a network: sharpness times $\eta / 2$ rises to 1 and stays, and along the top
    eigenvector successive gradients point opposite ways, while the loss goes on falling.

    MLP of 32 tanh units twice, squared error, 500 digits, 3 seeds.

    Source: Cohen et al. 2021, arXiv:2103.00065.
    """
    ends, turns = zip(*(_edge(seed) for seed in range(3)), strict=True)
    interval = mean_interval(list(ends))
    opposed = fmean(turns)
    sharp: Outcome = "SUPPORTED" if abs(interval.mean - 1) < 0.1 else "REFUTED"
    return [
        Measurement("sharpness", "sharpness × lr / 2 at the end", interval.mean, sharp,
                    "training sits where the steepest direction is about to become unstable", 1.0, 0.1, interval.low,
                    interval.high, interval.n),
        at_least("share of updates that turn round along the top eigenvector", opposed, 0.5,
                 "so the loss bounces along the steepest direction", "direction", len(turns)),
    ]  # fmt: skip


def _edge(seed: int, rate: float = 0.2, steps: int = 1200) -> tuple[float, float]:
    """(mean sharpness x lr / 2 over the last measurements, share of successive gradients that are opposed along it)."""
    data = digits(500)
    torch.manual_seed(mix(seed, 0))
    network = MLP((1, 8, 8), 10, width=32, activation="tanh")
    risk = Risk(network, SquaredError(10), lambda: [(data.x, data.y)], len(data), dtype=torch.float32)
    theta = risk.point(network)
    start = random_unit(len(theta), torch.Generator().manual_seed(mix(seed, 1))).to(theta)
    sharpness: list[float] = []
    turned: list[float] = []
    along = None
    for step in range(steps):
        _, gradient = risk.gradient(theta)
        if step >= steps - 300 and step % 30 == 0:
            product = functools.partial(risk.product, theta)
            top = extreme(product, start, "top", products=24, tolerance=1e-3, basis=10)
            start = top.vector
            sharpness.append(top.value * rate / 2)
            along = None
        if sharpness:
            now = float(gradient @ start.to(gradient))
            turned += [] if along is None else [float(now * along < 0)]
            along = now
        theta = theta - rate * gradient
    return fmean(sharpness), fmean(turned)


def flat_directions(store: Store) -> list[Measurement]:
    r"""On $\mathrm{diag}(100, 0.01)$ Adagrad's path in each coordinate is
    $x_{t+1} = x_t - \eta x_t / \sqrt{\sum x_s^2}$, whatever the curvature is, so the flat direction is as quick as the
    steep one. Gradient descent, at its largest stable rate $2 / 100$, needs $\ln 10 / (0.01 \cdot 0.02)$
    steps to cut the flat coordinate to a tenth.
    """
    surface = Valley(curvature=100.0, condition=1e4, start=(1.0, 1.0))
    ada = descend(surface, functools.partial(torch.optim.Adagrad, lr=0.5, eps=0.0), Constant(), 60).points
    apart = float(np.abs(ada[:, 0] - ada[:, 1]).max())
    needed = int(np.flatnonzero(np.abs(ada[:, 1]) <= 0.1)[0])
    plain = math.log(10) / -math.log(1 - 0.01 * 0.02)
    plainly = descend(surface, functools.partial(torch.optim.SGD, lr=0.02), Constant(), 2000).points[-1, 1]
    return [
        exact("largest gap between the two coordinates' paths", apart, 0.0, 1e-10,
              "Adagrad does not see the scale of a coordinate", "invariance"),
        exact("flat coordinate of plain descent after 2,000 steps", float(plainly), (1 - 0.01 * 0.02) ** 2000, 1e-9,
              f"plain descent needs {plain:,.0f} steps for a tenth", "plain descent"),
        at_most("steps of Adagrad to a tenth, over plain descent's", needed / plain, 0.1, f"Adagrad needs {needed}",
                "speed"),
    ]  # fmt: skip


def bursts(store: Store) -> list[Measurement]:
    r"""Noisy quadratic with curvature h. With $C^2 = \sum g^2$ all but constant once x is small, the notes' root MEAN
    square lets the rate grow as $\eta \sqrt t / C$, which passes $2 / h$ at $t^* = (2 C / (\eta h))^2$: x then grows
    from the noise until it bursts, after another $\sqrt{2 \ln(10^6)\, t^*}$ updates or so, in which it grows 1e6 times.

    A rate that falls linearly over T updates never passes the threshold if $T < 27 / 4\, t^*$, since
    $\max_u (1 - u)^2 u = 4 / 27$; over a longer time it does. torch.optim.Adagrad (root of the SUM) has a rate that
    only falls. RMSProp forgets the large gradients, and bursts as well.
    """
    found, ratios = [], []
    for rate in (0.1, 0.15, 0.2):
        x, c = _noisy(functools.partial(AdagradRMS, lr=rate, eps=0.0), Constant(), int(200 / rate**2.15) + 400)
        burst, threshold = _burst(x), (2 * c / rate) ** 2
        ratios.append(math.inf if burst is None else burst / (threshold + math.sqrt(2 * math.log(1e6) * threshold)))
    inside: Outcome = "SUPPORTED" if all(0.8 <= ratio <= 1.2 for ratio in ratios) else "REFUTED"
    words = "the notes' rule bursts when the closed form says"
    found.append(
        Measurement("notes' rule, constant rate", "time of the first burst over its prediction", fmean(ratios), inside,
                    words, 1.0, 0.2, min(ratios), max(ratios), len(ratios))
    )  # fmt: skip
    notes = functools.partial(AdagradRMS, lr=0.2, eps=0.0)
    threshold = round((2 * _noisy(notes, Constant(), 60)[1] / 0.2) ** 2)
    sums = functools.partial(torch.optim.Adagrad, lr=0.2, eps=0.0)
    rms = functools.partial(torch.optim.RMSprop, lr=0.15, alpha=0.99, eps=0.0)
    falling = Polynomial(power=1.0)
    for regime, make, schedule, steps, wanted, words in (
        ("decay to zero over 3 t*", notes, falling, 3 * threshold, 0, "decay that is quick enough: no burst"),
        ("decay to zero over 12 t*", notes, falling, 12 * threshold, 0, "decay that is too slow only delays the burst"),
        ("torch's Adagrad", sums, Constant(), 6 * threshold, 0, "the root of the sum can't burst: its rate only falls"),
        ("RMSProp", rms, Constant(), 6 * threshold, 1, "RMSProp bursts as well"),
    ):
        x, _ = _noisy(make, schedule, steps)
        burst_seen = float(_burst(x) is not None)
        found.append(exact("whether it bursts", burst_seen, wanted, 0.0, words, regime))
    return found


def _noisy(make: Make, schedule: Schedule, steps: int) -> tuple[np.ndarray, float]:
    """|x| of every update from 1 on, curvature 1 and gradient noise 1e-9; C, the root of the sum of early squares."""
    path = descend(Quadratic(curvature=1.0, dim=1, noise=1e-9, start=(1.0,)), make, schedule, steps).points[:, 0]
    early = path[: int(np.flatnonzero(np.abs(path) < 1e-6)[0])] if (np.abs(path) < 1e-6).any() else path
    return np.abs(path), float(np.sqrt((early**2).sum()))


def _burst(x: np.ndarray) -> int | None:
    """The first update after which |x| is above 1e-3 again, having been below 1e-6."""
    small = np.flatnonzero(x < 1e-6)
    if not len(small):
        return None
    again = np.flatnonzero(x[small[0] :] > 1e-3)
    return int(small[0] + again[0]) if len(again) else None


def steady_state(store: Store) -> list[Measurement]:
    r"""Gradient noise of deviation s on curvature h leaves the expected loss $\eta s^2 / (2 (2 - \eta h))$ per
    coordinate; decay to zero removes it. 4,000 independent copies, mean over the last 100 of 400 updates.
    """
    found = []
    for rate, h in ((0.1, 1.0), (0.5, 1.0), (0.3, 4.0)):
        surface = Quadratic(curvature=h, dim=4000, noise=0.5)
        make = functools.partial(torch.optim.SGD, lr=rate)
        floor = descend(surface, make, Constant(), 400).losses[-100:].mean() / 4000
        law = rate * 0.5**2 / (2 * (2 - rate * h))
        found.append(
            exact("floor over its closed form", floor / law, 1.0, 0.03, "the loss stays at the floor of the noise",
                  f"constant, lr {rate:g}, h {h:g}", n=4000)
        )  # fmt: skip
        decayed = descend(surface, make, Cosine(), 400).losses[-1] / 4000
        found.append(
            at_most("loss after a cosine over that floor", decayed / law, 0.2,
                    f"decay brings it to {100 * decayed / law:.1f} % of the floor",
                    f"decayed, lr {rate:g}, h {h:g}", n=4000)
        )  # fmt: skip
    return found


def _threshold(beyond: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition begins to hold, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high

"""Simulations of curves over the budget for tuning: coverage of their bands, errors of who is ahead, power.

    python scripts/simulate_budgets.py [--replicates 4000] [--seed 0]

Arms are searched over two keys, with all trials and seeds new in each replicate. The truth after k trials is that of
many searches of k independent random trials. Each simulation is vectorised over replicates and, on its first ones,
compared with paribus.stats.budgets, so that what is simulated is what tables print. Exit code 1 where a promise is
broken.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr
from simulated import Result, main

from paribus.stats.budgets import _weights, after, budgets, search
from paribus.stats.multiple import holm
from paribus.stats.spaces import uniform

ALPHA = 0.05
CHECKED = 5  # replicates that are computed by paribus.stats as well
TRUTH = 400_000  # trials of which the truth is made, for each number of them


@dataclass(frozen=True)
class Arm:
    """Scores over the unit square.

    curvature: how fast they fall from the best place; peak: how high that is. cliff: beyond three quarters of the first
    key a run scores -8. noise: of a run. shared: of a seed, which the arms share.
    """

    curvature: float
    peak: float = 0.0
    cliff: bool = False
    noise: float = 0.3
    shared: float = 0.0
    keys: int = 2

    def draw(self, r: np.random.Generator, place: np.ndarray, luck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (R, T, m) on validation and test. place: (R, T, 2) of the trials; luck: (R, m) of the seeds."""
        best, weight = ([0.6, 0.4], [1.0, 0.3]) if self.keys == 2 else ([0.6, 0.4, 0.5, 0.3, 0.7], [0.5] * 5)
        gap = (4 * (place[..., : self.keys] - best)) ** 2 @ weight
        height = self.peak - self.curvature * gap
        if self.cliff:
            height = np.where(place[..., 0] > 0.75, -8.0, np.maximum(height, -8.0))
        shape = (*height.shape, luck.shape[-1])
        run = height[..., None] + self.noise * r.normal(size=shape) + self.shared * luck[:, None]
        found = [run + 0.3 * self.noise * r.normal(size=shape) for _ in range(2)]
        return found[0], found[1]


KEYS = 5
BOWL, NARROW, CLIFF = Arm(1.0), Arm(6.0), Arm(1.0, cliff=True)
NOISY, SEEDS = Arm(0.1, noise=1.0, shared=0.5), Arm(1.0, shared=0.3)
ARMS = {
    "bowl": BOWL,
    "narrow": NARROW,
    "cliff": CLIFF,
    "noisy": NOISY,
    "seeds": SEEDS,
    "many": Arm(1.0, keys=5),
    "many narrow": Arm(4.0, keys=5),
}
PAIRS = {
    "crossing": (Arm(6.0, peak=0.5), BOWL),
    "cliff": (CLIFF, Arm(1.0, peak=-0.3)),
    "noise": (Arm(1.0, noise=1.0), BOWL),
    "seeds": (SEEDS, NARROW),
    "keys": (Arm(4.0, keys=5), Arm(1.0, keys=5)),
    "more keys": (BOWL, Arm(1.0, keys=5)),
}
SIZES = list(itertools.product((8, 16, 24, 32), (3, 5)))  # trials, tuning seeds


@functools.cache
def truth(arm: Arm, k: int, m: int) -> float:
    r = np.random.default_rng([k, m])
    n = max(4_000, TRUTH // k)
    select, value = arm.draw(r, r.random((n, k, KEYS)), r.normal(size=(n, m)))
    chosen = select[..., 1:].mean(-1).argmax(1)
    return float(np.take_along_axis(value[..., 0], chosen[:, None], 1).mean())


def places(r: np.random.Generator, sampler: str, replicates: int, trials: int) -> np.ndarray:
    """(R, T, 2), each replicate with a seed of its own. Sobol's bits are shifted by ours, which is the same in law."""
    if sampler == "random":
        return r.random((replicates, trials, KEYS))
    bits = np.floor(uniform("sobol", trials, KEYS, 0) * 2**30).astype(np.int64)
    return ((bits ^ r.integers(0, 2**30, size=(replicates, 1, KEYS))) + 0.5) / 2**30


Curves = tuple[np.ndarray, np.ndarray]  # (R, m, K) and (R, T, K), as `paribus.stats.budgets.Search`


def curves(select: np.ndarray, value: np.ndarray, ks: list[int]) -> Curves:
    """Of each replicate, at the budgets ks."""
    replicates, trials, m = value.shape
    at = np.array(ks) - 1
    whole, less = _weights(trials)[at], _weights(trials - 1)[at]
    seeds, without = np.empty((replicates, m, len(ks))), np.zeros((replicates, trials, len(ks)))
    others = select.sum(-1, keepdims=True) - select
    for seed in range(m):
        order = others[..., seed].argsort(1)
        own = np.take_along_axis(value[..., seed], order, 1)
        seeds[:, seed] = own @ whole.T
        below = np.cumsum(less * own[:, None, :-1], -1)
        above = np.cumsum((less * own[:, None, 1:])[..., ::-1], -1)[..., ::-1]
        rest = np.zeros((replicates, len(ks), trials))
        rest[..., 1:] += below
        rest[..., :-1] += above
        without += np.take_along_axis(rest, order.argsort(1)[:, None], 2).transpose(0, 2, 1) / m
    return seeds, without


def tails(found: Curves, truth: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(R, K) each: the mean, and the p value of its being the truth; an interval covers what has p > 5 %."""
    seeds, without = found
    n, m = without.shape[1], seeds.shape[1]
    squares = (without - without.mean(1, keepdims=True)) ** 2
    trials, luck = (n - 1) / n * squares.sum(1), seeds.var(1, ddof=1) / m
    kurtosis = n * (squares**2).sum(1) / squares.sum(1) ** 2
    own = np.clip(2 * n / (kurtosis - 1), 1, n - 1)
    share, mean, error = trials / (trials + luck), seeds.mean(1), np.sqrt(trials + luck)

    t = -np.abs(mean - truth) / error
    return mean, 2 * (share * stdtr(own, t) + (1 - share) * stdtr(m - 1, t))


def check(arms: list[tuple[np.ndarray, np.ndarray]], ks: list[int], found: Curves) -> None:
    """The same by paribus.stats."""
    mean, p = tails(found)
    for k in range(CHECKED):
        first, *rest = (search(select[k], value[k]) for select, value in arms)
        for number, budget in enumerate(ks):
            ours = after(first - rest[0] if rest else first, budget, 1 - ALPHA)
            assert np.allclose([ours.mean, ours.p], [mean[k, number], p[k, number]], rtol=1e-8), (ours, mean[k], p[k])
            _, edge = tails((found[0][k : k + 1], found[1][k : k + 1]), ours.high)
            assert math.isclose(edge[0, number], ALPHA, rel_tol=1e-6), (ours, edge)


def coverage(replicates: int, seed: int) -> Result:
    """Bands of single arms: the lowest coverage over the budgets."""
    found = Result("Coverage of a nominal 95 % band at one budget, the lowest over arms and budgets",
                   ["trials", "tuning seeds", "sobol", "random", "worst arm"])  # fmt: skip
    for trials, m in SIZES:
        ks, row, worst = budgets(trials), [], ""
        for sampler in ("sobol", "random"):
            shares = {}
            for number, (name, arm) in enumerate(ARMS.items()):
                r = np.random.default_rng([seed, trials, m, number, len(sampler)])
                drawn = arm.draw(r, places(r, sampler, replicates, trials), r.normal(size=(replicates, m)))
                each = curves(*drawn, ks)
                check([drawn], ks, each)
                _, p = tails(each, np.array([truth(arm, k, m) for k in ks]))
                shares[name] = (p > ALPHA).mean(0).min()
            worst = min(shares, key=lambda name: shares[name])
            row.append(shares[worst])
        found.rows.append([trials, m, *row, worst])
        found.at_most(1 - row[0], 0.06, replicates, f"misses of {trials} Sobol trials, {m} seeds")
    return found


def alike(replicates: int, seed: int) -> Result:
    """Two arms alike: at some budget one is called ahead, after Holm over the budgets."""
    found = Result("Two arms alike: one is called ahead at some budget (Holm), the worst arm",
                   ["trials", "tuning seeds", "sobol", "random"])  # fmt: skip
    for trials, m in SIZES:
        row = []
        for sampler in ("sobol", "random"):
            shares = [
                _wrong(np.random.default_rng([seed, trials, m, number, len(sampler)]), (arm, arm), sampler, trials, m,
                       replicates)[0]
                for number, arm in enumerate(ARMS.values())
            ]  # fmt: skip
            row.append(max(shares))
        found.at_most(row[0], 0.055, replicates, f"error of {trials} Sobol trials, {m} seeds")
        found.rows.append([trials, m, *row])
    return found


def unlike(replicates: int, seed: int) -> Result:
    """Arms that differ: the wrong one is called ahead, and intervals of the difference cover it."""
    found = Result("Arms that differ, the worst pair and budget: the wrong one is called ahead, intervals cover",
                   ["trials", "seeds", "wrong: sobol", "wrong: random", "covers: sobol", "covers: random"])  # fmt: skip
    for trials, m in SIZES:
        wrong, covered = [], []
        for sampler in ("sobol", "random"):
            each = [
                _wrong(np.random.default_rng([seed, trials, m, number, len(sampler)]), pair, sampler, trials, m,
                       replicates)
                for number, pair in enumerate(PAIRS.values())
            ]  # fmt: skip
            wrong.append(max(share for share, _ in each))
            covered.append(min(share for _, share in each))
        found.at_most(wrong[0], 0.055, replicates, f"wrong with {trials} Sobol trials, {m} seeds")
        found.at_most(1 - covered[0], 0.06, replicates, f"misses of differences, {trials} Sobol trials, {m} seeds")
        found.rows.append([trials, m, *wrong, *covered])
    return found


def _wrong(
    r: np.random.Generator, pair: tuple[Arm, Arm], sampler: str, trials: int, m: int, replicates: int
) -> tuple[float, float]:
    """How often an arm is called ahead that is not, at some budget; and the lowest coverage of the difference."""
    each, known = _difference(r, pair, sampler, trials, m, replicates)
    mean, p = tails(each)
    called = np.array([holm(row.tolist()) for row in p]) <= ALPHA
    wrong = called & ((known == 0) | (np.sign(mean) != np.sign(known)))
    return float(wrong.any(1).mean()), float((tails(each, known)[1] > ALPHA).mean(0).min())


def _difference(
    r: np.random.Generator, pair: tuple[Arm, Arm], sampler: str, trials: int, m: int, replicates: int
) -> tuple[Curves, np.ndarray]:
    ks = budgets(trials)
    place, luck = places(r, sampler, replicates, trials), r.normal(size=(replicates, m))
    drawn = [arm.draw(r, place, luck) for arm in pair]
    (a, left_a), (b, left_b) = (curves(*scores, ks) for scores in drawn)
    check(drawn, ks, (a - b, left_a - left_b))
    return (a - b, left_a - left_b), np.array([truth(pair[0], k, m) - truth(pair[1], k, m) for k in ks])


def power(replicates: int, seed: int) -> Result:
    """How often it is found which of two arms is ahead, where their curves cross."""
    found = Result("Curves that cross (narrow and high against wide), Sobol trials: who is ahead is found",
                   ["trials", "tuning seeds", "trials tried", "true gap", "found"])  # fmt: skip
    for trials, m in ((16, 3), (32, 3), (64, 3)):
        r = np.random.default_rng([seed, trials, m, 5])
        each, known = _difference(r, PAIRS["crossing"], "sobol", trials, m, replicates // 4)
        mean, p = tails(each)
        right = (np.array([holm(row.tolist()) for row in p]) <= ALPHA) & (np.sign(mean) == np.sign(known))
        for k, gap, share in zip(budgets(trials), known, right.mean(0), strict=True):
            found.rows.append([trials, m, k, float(gap), float(share)])
    return found


SIMULATIONS = (coverage, alike, unlike, power)


if __name__ == "__main__":
    sys.exit(main(SIMULATIONS, 4_000, __doc__))

"""Simulations of comparisons after tuning, and over random splits: errors of arms that are alike, coverage, power.

    python scripts/simulate_tuned.py [--replicates 4000] [--seed 0]

Each simulation is vectorised over replicates and, on its first ones, compared with the functions of paribus.stats, so
that what is simulated is what tables print. Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit
from simulated import Result, main

from paribus.stats.paired import paired_difference
from paribus.stats.resampled import widened
from paribus.stats.tuned import cross_fitted, near_ties, tuned_difference

ALPHA = 0.05
POINTS = 7  # of a grid
CHECKED = 5  # replicates that are computed by paribus.stats as well


@dataclass(frozen=True)
class Population:
    """Scores over a grid, of two arms alike.

    curvature: how fast the score falls from the optimum, in deviations. optimum: its place, between or at points.
    growing: the noise grows along the grid, from 0.3 to 2. collapses: at the three largest points one run in five ends
    20 deviations lower. paired: half of the variance belongs to the seed, which the arms share.
    """

    curvature: float
    optimum: float
    growing: bool
    collapses: bool
    paired: bool

    @property
    def means(self) -> np.ndarray:
        sway = -self.curvature * (np.arange(POINTS) - self.optimum) ** 2
        return sway - 20 * 0.2 * (np.arange(POINTS) >= 4) * self.collapses

    def draw(self, r: np.random.Generator, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (replicates, POINTS, n) on validation and test. common: the luck of each seed, (replicates, 1, n)."""
        shape = (len(common), POINTS, common.shape[-1])
        deviation = (np.linspace(0.3, 2.0, POINTS) if self.growing else np.ones(POINTS))[:, None]
        own = r.normal(size=shape)
        noise = math.sqrt(0.5) * (common + own) if self.paired else own
        height = -self.curvature * (np.arange(POINTS) - self.optimum)[:, None] ** 2 + deviation * noise
        lost = (r.random(shape) < 0.2) & (np.arange(POINTS) >= 4)[:, None] & self.collapses
        found = [np.where(lost, -20.0, height + 0.3 * deviation * r.normal(size=shape)) for _ in range(2)]
        return found[0], found[1]


POPULATIONS = [
    Population(*each)
    for each in itertools.product((0.05, 0.3, 1.0), (2.5, 3.0, 3.25), (False, True), (False, True), (False, True))
]
FEW = POPULATIONS[::5]
TRIALS = 24
SPACES = list(itertools.product((0.05, 0.3, 1.0), (False, True), (False, True)))  # curvature, collapses, paired


@dataclass
class Arm:
    """What one arm scored: tuning (R, G, k) on validation, validation and test (R, G, n) of the reporting seeds."""

    tuning: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def two_arms(r: np.random.Generator, population: Population, replicates: int, k: int, n: int) -> list[Arm]:
    tuning, reporting = r.normal(size=(replicates, 1, k)), r.normal(size=(replicates, 1, n))
    return [Arm(population.draw(r, tuning)[0], *population.draw(r, reporting)) for _ in range(2)]


def kept(scores: np.ndarray, candidates: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """`near_ties` of each replicate: (R, G) of scores (R, G, k), among the candidates (R, G)."""
    k = scores.shape[-1]
    mean = np.where(candidates, scores.mean(-1), -np.inf)
    own = np.where(candidates, scores.std(-1, ddof=1), np.nan)
    sd = np.maximum(own, np.nanmedian(own, axis=1, keepdims=True))
    best = mean.argmax(1)[:, None]
    far = (6 if k == 2 else 4 if k < 5 else 3) * np.sqrt((np.take_along_axis(sd, best, 1) ** 2 + sd**2) / k)
    near: np.ndarray = candidates & (np.take_along_axis(mean, best, 1) - mean <= far)
    near[np.arange(len(near)), chosen] = True
    return near


def chosen_scores(arm: Arm, near: np.ndarray, n: int) -> np.ndarray:
    """(R, n): the cross-fitted test scores."""
    validation = arm.validation[..., :n]
    total = np.where(near, arm.tuning.sum(-1) + validation.sum(-1), -np.inf)
    point = (total[..., None] - validation).argmax(1)
    return np.take_along_axis(arm.test[..., :n], point[:, None], 1)[:, 0]


def one_sided(own: np.ndarray, rival: np.ndarray, near: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """(R,): the least lower limit at alpha / 2 and the largest one-sided p against every kept point of the rival."""
    d = own[:, None] - rival
    n = d.shape[-1]
    mean, error = d.mean(-1), d.std(-1, ddof=1) / math.sqrt(n)
    low = np.where(near, mean - stdtrit(n - 1, 1 - alpha / 2) * error, np.inf)
    return low.min(1), np.where(near, stdtr(n - 1, -mean / error), 0.0).max(1)


def compared(
    arms: list[Arm], n: int, alpha: float, candidates: list[np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Low, high, two-sided p and kept points of each replicate, with the first n reporting seeds."""
    if candidates is None:
        candidates = [near_first(arm) for arm in arms]
    y = [chosen_scores(arm, near, n) for arm, near in zip(arms, candidates, strict=True)]
    low, up = one_sided(y[0], arms[1].test[..., :n], candidates[1], alpha)
    high, down = one_sided(y[1], arms[0].test[..., :n], candidates[0], alpha)
    p = np.minimum(1, 2 * np.minimum(up, down))
    return {"low": low, "high": -high, "p": p, "kept": candidates[0].sum(1)}


def near_first(arm: Arm) -> np.ndarray:
    """The points that are kept after tuning."""
    everything = np.ones(arm.tuning.shape[:2], dtype=bool)
    return kept(arm.tuning, everything, arm.tuning.mean(-1).argmax(1))


def check(arms: list[Arm], found: dict[str, np.ndarray]) -> None:
    """The same by paribus.stats."""
    for k in range(CHECKED):
        sides = []
        for arm in arms:
            near = np.flatnonzero(near_ties(arm.tuning[k], int(arm.tuning[k].mean(-1).argmax())))
            choice = cross_fitted(arm.tuning[k, near], arm.validation[k, near])
            rows = arm.test[k, near]
            sides.append((np.array([rows[point, seed] for seed, point in enumerate(choice)]), rows))
        ours = tuned_difference([sides[0][0]], [sides[1][0]], [sides[0][1]], [sides[1][1]], 1 - ALPHA)
        for value, simulated in ((ours.low, found["low"][k]), (ours.high, found["high"][k]), (ours.p, found["p"][k])):
            assert abs(value - simulated) <= 1e-9 * max(1.0, abs(value)), (value, simulated)


def winners_alone(arms: list[Arm]) -> np.ndarray:
    """(R,): p of the plain paired t test between the points that tuning chose."""
    rows = [np.take_along_axis(arm.test, arm.tuning.mean(-1).argmax(1)[:, None, None], 1)[:, 0] for arm in arms]
    d = rows[0] - rows[1]
    n = d.shape[-1]
    p: np.ndarray = 2 * stdtr(n - 1, -np.abs(d.mean(-1) / (d.std(-1, ddof=1) / math.sqrt(n))))
    return p


def alike(replicates: int, seed: int) -> Result:
    """Arms that are alike, both tuned over seven points."""
    found = Result(
        f"Two arms alike, each tuned: differ at 5 % ({len(POPULATIONS)} populations)",
        [
            "tuning seeds",
            "reporting seeds",
            "winners alone",
            "worst",
            "kept points",
            "worst",
            "interval misses",
            "points kept",
        ],
    )
    for k, n in itertools.product((2, 3, 5, 10), (10, 20, 50)):
        shares = []
        for number, population in enumerate(POPULATIONS):
            r = np.random.default_rng([seed, k, n, number])
            arms = two_arms(r, population, replicates, k, n)
            each = compared(arms, n, ALPHA)
            check(arms, each)
            missed = (each["low"] > 0) | (each["high"] < 0)
            shares.append(
                [(winners_alone(arms) <= ALPHA).mean(), (each["p"] <= ALPHA).mean(), missed.mean(), each["kept"].mean()]
            )
        x = np.array(shares)
        found.rows.append(
            [k, n, x[:, 0].mean(), x[:, 0].max(), x[:, 1].mean(), x[:, 1].max(), x[:, 2].max(), x[:, 3].mean()]
        )
        found.at_most(x[:, 1].mean(), 0.05, replicates, f"mean error at k = {k}, n = {n}")
        found.at_most(x[:, 1].max(), 0.055, replicates, f"worst error at k = {k}, n = {n}")
        found.at_most(x[:, 2].max(), 0.06, replicates, f"coverage at k = {k}, n = {n}")
    return found


def looks(replicates: int, seed: int) -> Result:
    """The same with sequential seeds: at each look the points that the seeds so far tell apart are dropped."""
    found = Result(
        f"Two arms alike, each tuned on 3 seeds, with looks: differ at 5 % ({len(FEW)} populations)",
        ["looks", "mean", "worst", "points kept at first", "at last"],
    )
    for sizes in ((10, 20, 50), (10, 30, 90)):
        shares = []
        for number, population in enumerate(FEW):
            arms = two_arms(np.random.default_rng([seed, *sizes, number]), population, replicates, 3, sizes[-1])
            candidates = [near_first(arm) for arm in arms]
            first, rejected, before = candidates[0].sum(1).mean(), np.zeros(replicates, dtype=bool), 0
            for n in sizes:
                if before:
                    candidates = [
                        kept(
                            np.concatenate([arm.tuning, arm.validation[..., :before]], axis=-1), near,
                            arm.tuning.mean(-1).argmax(1),
                        )
                        for arm, near in zip(arms, candidates, strict=True)
                    ]  # fmt: skip
                share = (n - before) / sizes[-1]
                rejected |= compared(arms, n, ALPHA, candidates)["p"] <= ALPHA * share
                before = n
            shares.append([rejected.mean(), first, candidates[0].sum(1).mean()])
        x = np.array(shares)
        found.rows.append([" ".join(map(str, sizes)), x[:, 0].mean(), x[:, 0].max(), x[:, 1].mean(), x[:, 2].mean()])
        found.at_most(x[:, 0].max(), 0.055, replicates, f"worst error with looks {sizes}")
    return found


def nested(replicates: int, seed: int) -> Result:
    """The same where each reporting seed has a tuning of its own."""
    found = Result(
        "Two arms alike, each reporting seed tuned anew: differ at 5 %",
        ["tuning seeds", "reporting seeds", "mean", "worst"],
    )
    for k, n in itertools.product((1, 3), (10, 20)):
        shares = []
        for number, population in enumerate(FEW):
            r = np.random.default_rng([seed, k, n, number, 7])
            common = r.normal(size=(replicates, 1, n * k)), r.normal(size=(replicates, 1, n))
            rows = []
            for _ in range(2):
                tuning = population.draw(r, common[0])[0].reshape(replicates, POINTS, n, k).mean(-1)
                test = population.draw(r, common[1])[1]
                rows.append(np.take_along_axis(test, tuning.argmax(1)[:, None], 1)[:, 0])
            d = rows[0] - rows[1]
            p = 2 * stdtr(n - 1, -np.abs(d.mean(-1) / (d.std(-1, ddof=1) / math.sqrt(n))))
            shares.append((p <= ALPHA).mean())
        found.rows.append([k, n, np.mean(shares), np.max(shares)])
        found.at_most(max(shares), 0.055, replicates, f"worst error at k = {k}, n = {n}")
    return found


def trials(replicates: int, seed: int) -> Result:
    """The same where both arms try 24 points that are drawn from ranges of two keys, new ones in each replicate."""
    found = Result(
        f"Two arms alike, each tuned over {TRIALS} trials: differ at 5 % ({len(SPACES)} populations)",
        ["tuning seeds", "reporting seeds", "winners alone", "worst", "kept points", "worst", "points kept"],
    )
    for k, n in itertools.product((2, 3, 5), (10, 20)):
        shares = []
        for number, (curvature, collapses, paired) in enumerate(SPACES):
            r = np.random.default_rng([seed, k, n, number, 11])
            place = r.random((replicates, TRIALS, 2))
            height = -curvature * ((6 * (place - [0.6, 0.4])) ** 2 @ [1.0, 0.2])[..., None]
            lost = 0.2 * ((place[..., :1] > 0.7) & collapses)
            common = r.normal(size=(replicates, 1, k)), r.normal(size=(replicates, 1, n))

            def draw(r, luck, height=height, lost=lost, paired=paired):  # type: ignore[no-untyped-def]
                own = r.normal(size=(*height.shape[:2], luck.shape[-1]))
                score = height + (math.sqrt(0.5) * (luck + own) if paired else own)
                fallen = r.random(score.shape) < lost
                return [np.where(fallen, -20.0, score + 0.3 * r.normal(size=score.shape)) for _ in range(2)]

            arms = [Arm(draw(r, common[0])[0], *draw(r, common[1])) for _ in range(2)]
            each = compared(arms, n, ALPHA)
            check(arms, each)
            shares.append([(winners_alone(arms) <= ALPHA).mean(), (each["p"] <= ALPHA).mean(), each["kept"].mean()])
        x = np.array(shares)
        found.rows.append([k, n, x[:, 0].mean(), x[:, 0].max(), x[:, 1].mean(), x[:, 1].max(), x[:, 2].mean()])
        found.at_most(x[:, 1].max(), 0.055, replicates, f"worst error at k = {k}, n = {n}")
    return found


def power(replicates: int, seed: int) -> Result:
    """How often a true gain is found, without collapses."""
    found = Result("Power at 5 %, 3 tuning seeds, by the true gain in deviations", ["reporting seeds", "0.5", "1", "2"])
    for n in (10, 20, 50):
        row: list[object] = [n]
        for gain in (0.5, 1.0, 2.0):
            shares = []
            for number, population in enumerate(p for p in FEW if not p.collapses):
                arms = two_arms(np.random.default_rng([seed, n, number, 9]), population, replicates // 4, 3, n)
                for part in ("tuning", "validation", "test"):
                    setattr(arms[0], part, getattr(arms[0], part) + gain)
                shares.append((compared(arms, n, ALPHA)["low"] > 0).mean())
            row.append(np.mean(shares))
        found.rows.append(row)
    return found


def splits(replicates: int, seed: int) -> Result:
    """Two classifiers (nearest centroid, with all features or with some) on random splits of one sample.

    The truth is the expected difference of their accuracies for training sets of this size.
    """
    found = Result(
        "Coverage of a nominal 95 % interval over random splits of one data set",
        ["samples", "test share", "splits", "without correlation", "Nadeau & Bengio"],
    )
    for total, share, n in ((120, 0.2, 5), (120, 0.2, 10), (120, 0.2, 30), (120, 0.33, 10)):
        r = np.random.default_rng([seed, total, n, int(100 * share)])
        tests = round(share * total)
        d = np.array([_splits_of(r, total, tests, n) for _ in range(replicates)])  # (R, n)
        truth = d.mean()
        inside = []
        for ratio in (0.0, tests / (total - tests)):
            mean, error = d.mean(1), d.std(1, ddof=1) * math.sqrt(1 / n + ratio)
            for k in range(CHECKED):
                ours = paired_difference(widened(d[k], np.zeros(n), ratio).tolist(), [0.0] * n)
                assert abs(ours.low - (mean[k] - stdtrit(n - 1, 0.975) * error[k])) < 1e-9
            inside.append((np.abs(mean - truth) <= stdtrit(n - 1, 0.975) * error).mean())
        found.rows.append([total, share, n, *inside])
        found.at_most(1 - inside[1], 0.06, replicates, f"misses with {n} splits, a test share of {share}")
    return found


def _splits_of(r: np.random.Generator, total: int, tests: int, n: int) -> np.ndarray:
    """(n,): difference of accuracies on n random splits of one sample."""
    y = np.arange(total) % 2
    x = r.normal(size=(total, 6)) + 0.45 * (2 * y[:, None] - 1) * np.array([1, 1, 1, 0.4, 0, 0])
    order = r.random((n, total)).argsort(1)
    train, test = order[:, tests:], order[:, :tests]
    means = [
        np.stack([(x[train] * (y[train] == c)[..., None]).sum(1) / (y[train] == c).sum(1)[:, None] for c in (0, 1)], 1)
    ][0]  # (n, 2, features)
    right = []
    for used in (6, 2):
        gap = ((x[test][:, :, None, :used] - means[:, None, :, :used]) ** 2).sum(-1)  # (n, tests, 2)
        right.append((gap.argmin(-1) == y[test]).mean(1))
    difference: np.ndarray = right[0] - right[1]
    return difference


SIMULATIONS = (alike, looks, nested, trials, power, splits)


if __name__ == "__main__":
    sys.exit(main(SIMULATIONS, 4_000, __doc__))

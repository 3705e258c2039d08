"""Simulations of paribus.stats: coverage, errors, tuning bias, verdicts, power, sequential seeds.

    python scripts/simulate_statistics.py [--replicates 20000] [--seed 0]

Every simulation is vectorised over replicates and, on its first ones, compared with the functions of paribus.stats, so
that what is simulated is what tables print. Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr, stdtrit
from tabulate import tabulate

from paribus.stats.effect import paired_power
from paribus.stats.intervals import mean_interval
from paribus.stats.multiple import holm
from paribus.stats.paired import paired_difference
from paribus.stats.sequential import Looks, bounds_level, sequential_difference
from paribus.stats.tuning import select_best
from paribus.stats.verdict import verdict

ALPHA = 0.05
OUTCOMES = ("SUPPORTED", "REVERSED", "REFUTED", "INCONCLUSIVE")
CHECKED = 25  # replicates that are computed by paribus.stats as well


@dataclass
class Result:
    """A printed table. broken: promises that do not hold, in words."""

    title: str
    head: list[str]
    rows: list[list[object]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def promise(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(f"{self.title}: {what}")


def normal(r: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return r.normal(size=shape)


def skewed(r: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Exponential, mean 0: skewness 2."""
    return r.exponential(size=shape) - 1


def collapses(r: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One run in ten ends ten deviations below the others; mean 0."""
    return r.normal(size=shape) - 10 * (r.random(shape) < 0.1) + 1


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": normal,
    "skewed": skewed,
    "collapses": collapses,
}


def t_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard error and two-sided p over the last axis."""
    n = x.shape[-1]
    mean, error = x.mean(-1), x.std(-1, ddof=1) / math.sqrt(n)
    return mean, error, 2 * stdtr(n - 1, -np.abs(mean / error))


def agree(ours: float, simulated: float) -> None:
    assert abs(ours - simulated) <= 1e-9 * max(1.0, abs(ours)), (ours, simulated)


def coverage(replicates: int, seed: int) -> Result:
    """Of the nominal 95 % t interval, and of the percentile bootstrap beside it."""
    found = Result("Coverage of a nominal 95 % interval of the mean", ["n", *DISTRIBUTIONS, "bootstrap, normal"])
    for n in (3, 5, 10, 20, 30):
        row: list[object] = [n]
        for name, draw in DISTRIBUTIONS.items():
            x = draw(np.random.default_rng([seed, n, len(name)]), (replicates, n))
            mean, error, _ = t_statistics(x)
            half = stdtrit(n - 1, 1 - ALPHA / 2) * error
            for values, low in zip(x[:CHECKED], (mean - half)[:CHECKED], strict=True):
                agree(mean_interval(values).low, low)
            share = float((np.abs(mean) <= half).mean())
            row.append(share)
            if name == "normal":
                found.promise(0.94 <= share <= 0.96, f"{share:.3f} at n = {n} is not within 0.94 to 0.96")
        row.append(_bootstrap(np.random.default_rng([seed, n, 99]), min(replicates, 4_000), n))
        found.rows.append(row)
    return found


def _bootstrap(r: np.random.Generator, replicates: int, n: int) -> float:
    hits = 0
    for x in r.normal(size=(replicates, n)):
        means = x[r.integers(0, n, (400, n))].mean(1)
        low, high = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2])
        hits += int(low <= 0 <= high)
    return hits / replicates


def type_one(replicates: int, seed: int) -> Result:
    """Of the paired t test and of the exact sign-flip test, for arms that are alike."""
    found = Result("Type-I error at 5 %, paired arms that are alike", ["n", "t, normal", "t, skewed arms", "sign flip"])
    for n in (3, 5, 8, 10, 30):
        r = np.random.default_rng([seed, n, 1])
        shares: list[object] = [n]
        for draw in (normal, skewed):
            a, b = draw(r, (2, replicates, n)) + r.normal(size=(replicates, n))  # a seed's luck is common to both
            _, _, p = t_statistics(a - b)
            for k in range(CHECKED):
                agree(paired_difference(a[k], b[k]).p, p[k])
            shares.append(float((p <= ALPHA).mean()))
            found.promise(shares[-1] <= 0.055, f"{shares[-1]:.3f} of {draw.__name__} arms at n = {n} is above 0.055")
        if n <= 10:
            d = r.normal(size=(replicates, n))
            signs = np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
            flipped = np.concatenate([np.abs(part @ signs.T) for part in np.array_split(d, 20)])
            p = (flipped >= np.abs(d.sum(1))[:, None] - 1e-9).mean(1)
            for k in range(CHECKED):
                agree(paired_difference(d[k], np.zeros(n)).p_sign_flip, p[k])
            shares.append(float((p <= ALPHA).mean()))
            found.promise(shares[-1] <= 0.055, f"sign flip {shares[-1]:.3f} at n = {n} is above 0.055")
        found.rows.append([*shares, *["-"] * (4 - len(shares))])
    return found


def family_wise(replicates: int, seed: int, arms: int = 8) -> Result:
    """At least one of `arms` that are alike differs significantly from the baseline."""
    title = f"Family-wise error at 5 %, {arms} arms against a baseline, all alike"
    found = Result(title, ["n", "unadjusted", "Holm"])
    for n in (3, 5, 10, 30):
        r = np.random.default_rng([seed, n, 2])
        x = r.normal(size=(replicates, arms + 1, n)) + r.normal(size=(replicates, 1, n))
        _, _, p = t_statistics(x[:, 1:] - x[:, :1])
        adjusted = holm_rows(p)
        for k in range(CHECKED):
            for ours, simulated in zip(holm(p[k]), adjusted[k], strict=True):
                agree(ours, simulated)
        share = float((adjusted <= ALPHA).any(1).mean())
        found.rows.append([n, float((p <= ALPHA).any(1).mean()), share])
        found.promise(share <= 0.055, f"{share:.3f} at n = {n} is above 0.055")
    return found


def holm_rows(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment in each row."""
    order = np.argsort(p, axis=1)
    ascending = np.take_along_axis(p, order, 1) * np.arange(p.shape[1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(1, np.maximum.accumulate(ascending, axis=1)), 1)
    return adjusted


def tuning_bias(replicates: int, seed: int) -> Result:
    """Arms that are alike, one of them tuned over a grid on which nothing depends: how often does it win?"""
    found = Result(
        "Tuned arm significantly better than an equal one that was not tuned (5 %, of which 2.5 % are due)",
        ["grid points", "seeds", "reported on its tuning seeds", "reported on other seeds"],
    )
    for points, n in ((7, 5), (27, 3), (27, 5), (27, 10)):
        r = np.random.default_rng([seed, points, n])
        scores, base = r.normal(size=(replicates, points, n)), r.normal(size=(replicates, n))
        best = scores.mean(2).argmax(1)
        for k in range(CHECKED):
            assert select_best(scores[k]).index == best[k]
        same = _wins(scores[np.arange(replicates), best], base)
        disjoint = _wins(r.normal(size=(replicates, n)), base)
        found.rows.append([points, n, same, disjoint])
        found.promise(disjoint <= 0.03, f"{disjoint:.3f} on other seeds with {points} points is above 0.03")
    return found


def _wins(a: np.ndarray, b: np.ndarray) -> float:
    mean, _, p = t_statistics(a - b)
    return float(((p <= ALPHA) & (mean > 0)).mean())


def outcomes(mean: np.ndarray, error: np.ndarray, significant: np.ndarray, n: int, alpha: float) -> np.ndarray:
    """Index into OUTCOMES by the rule of stats.verdict, for a claim of a greater value, in units of d."""
    high = mean + stdtrit(n - 1, 1 - alpha / 2) * error
    upper = mean + stdtrit(n - 1, 1 - alpha) * error
    return np.select([significant & (mean > 0) & (upper >= 1), high < 0, upper < 1], [0, 1, 2], 3)


def confusion(replicates: int, seed: int) -> Result:
    """How often the verdict says what, by the truth; sd of the differences = d."""
    found = Result(
        "Verdicts (%) by true gain in units of d; sd of paired differences = d", ["n", "true gain", *OUTCOMES]
    )
    for n, gain in itertools.product((5, 10, 20), (-1.0, 0.0, 0.5, 1.0, 2.0)):
        x = np.random.default_rng([seed, n, int(10 * gain) + 50]).normal(gain, 1.0, (replicates, n))
        mean, error, p = t_statistics(x)
        index = outcomes(mean, error, p <= ALPHA, n, ALPHA)
        for k in range(CHECKED):
            difference = paired_difference(x[k], np.zeros(n))
            assert verdict(difference, difference.p, 1.0).outcome == OUTCOMES[index[k]]
        shares = np.bincount(index, minlength=4) / replicates
        found.rows.append([n, gain, *(100 * shares)])
        if gain <= 0:
            found.promise(shares[0] <= 0.03, f"SUPPORTED in {shares[0]:.3f} without a gain, n = {n}")
        if gain >= 0:
            found.promise(shares[1] <= 0.03, f"REVERSED in {shares[1]:.3f} without a loss, n = {n}")
        if gain >= 1:
            found.promise(shares[2] <= 0.055, f"REFUTED in {shares[2]:.3f} with a gain of {gain} d, n = {n}")
    return found


def power(replicates: int, seed: int) -> Result:
    """Of the paired t test: formula against simulation."""
    found = Result("Power of the paired t test at 5 %", ["d_z", "n", "formula", "simulated"])
    for d_z, n in itertools.product((0.5, 1.0, 1.5), (5, 10, 20)):
        _, _, p = t_statistics(np.random.default_rng([seed, n, int(10 * d_z)]).normal(d_z, 1, (replicates, n)))
        formula, share = paired_power(d_z, n), float((p <= ALPHA).mean())
        found.rows.append([d_z, n, formula, share])
        noise = 4 * math.sqrt(0.25 / replicates)
        found.promise(abs(formula - share) <= noise, f"{formula:.3f} against {share:.3f} simulated")
    return found


def sequential(replicates: int, seed: int, arms: int = 8) -> Result:
    """Seeds added where the verdict is open: errors over all arms of a table, and what they cost."""
    found = Result(
        f"Sequential seeds, {arms} arms against a baseline; all alike, but gain d in the last two columns (sd = d)",
        [
            "looks",
            "significant, every look at 5 %",
            "significant, sequential p",
            "SUPPORTED",
            "REVERSED, per arm",
            "interval misses, per arm",
            "mean seeds",
            "SUPPORTED at gain d",
            "mean seeds at gain d",
        ],
    )
    for sizes in ((10, 20, 30), (5, 10, 15, 20, 25, 30), (3, 6, 12, 24), (10, 30)):
        looks = Looks(sizes)
        null = _sequential(np.random.default_rng([seed, len(sizes), 3]), replicates, arms, looks, 0.0)
        gain = _sequential(np.random.default_rng([seed, len(sizes), 4]), max(1, replicates // 4), arms, looks, 1.0)
        significant, supported = null.significant.any(1).mean(), null.supported.any(1).mean()
        reversed_, missed = null.reversed.mean(), null.missed.mean()
        found.rows.append(
            [
                " ".join(map(str, sizes)),
                null.naive.any(1).mean(),
                significant,
                supported,
                reversed_,
                missed,
                null.seeds.mean(),
                gain.supported.mean(),
                gain.seeds.mean(),
            ]
        )
        found.promise(significant <= 0.055, f"significant in {significant:.3f} of tables of equals, looks {sizes}")
        found.promise(supported <= 0.055, f"SUPPORTED in {supported:.3f} of tables without a gain, looks {sizes}")
        found.promise(reversed_ <= 0.03, f"REVERSED in {reversed_:.3f} of arms without a loss, looks {sizes}")
        found.promise(missed <= 0.055, f"intervals of all looks miss the truth in {missed:.3f} of arms, looks {sizes}")
    return found


@dataclass
class _Arms:
    """(replicates, arms) each. naive, significant: at any look, if none stopped; the others as arms stop."""

    naive: np.ndarray
    significant: np.ndarray
    supported: np.ndarray
    reversed: np.ndarray
    missed: np.ndarray
    seeds: np.ndarray


def _sequential(r: np.random.Generator, replicates: int, arms: int, looks: Looks, gain: float) -> _Arms:
    cap = looks.cap
    x = r.normal(size=(replicates, arms + 1, cap)) * math.sqrt(0.5)
    d = x[:, 1:] - x[:, :1] + gain
    shape = (replicates, arms)
    p_now, p_all, open_ = np.ones(shape), np.ones(shape), np.ones(shape, dtype=bool)
    n_now = np.zeros(shape, dtype=int)
    index = np.full(shape, 3)
    naive, missed = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    bounds: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for size, share in zip(looks.sizes, looks.shares, strict=True):
        mean, error, p = t_statistics(d[..., :size])
        bounds[size] = (mean, error)
        naive |= p <= ALPHA
        missed |= np.abs(mean - gain) > stdtrit(size - 1, 1 - ALPHA * share / 2) * error
        p_all = np.minimum(p_all, p / share)
        p_now = np.where(open_, p_all, p_now)
        n_now = np.where(open_, size, n_now)
        significant = holm_rows(np.minimum(p_now, 1)) <= ALPHA
        # Holm may settle an arm that stopped before: judge every arm at its own look.
        for n, weight in zip(looks.sizes, looks.shares, strict=True):
            if n in bounds:
                own = outcomes(*bounds[n], significant, n, ALPHA * weight)
                index = np.where(n_now == n, own, index)
        open_ = index == 3
    for k in range(min(5, replicates)):
        for arm in range(arms):
            n = int(n_now[k, arm])
            ours = sequential_difference(d[k, arm, :n], np.zeros(n), looks)
            agree(ours.p, min(1.0, p_now[k, arm]))
            adjusted = holm(np.minimum(p_now[k], 1))[arm]
            said = verdict(ours, adjusted, 1.0, bounds_level=bounds_level(n, looks)).outcome
            assert said == OUTCOMES[index[k, arm]], (said, OUTCOMES[index[k, arm]])
    return _Arms(naive, holm_rows(p_all) <= ALPHA, index == 0, index == 1, missed, n_now)


SIMULATIONS = (coverage, type_one, family_wise, tuning_bias, confusion, power, sequential)


def simulate(replicates: int, seed: int) -> Iterator[Result]:
    for each in SIMULATIONS:
        yield each(replicates, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    broken: list[str] = []
    for result in simulate(asked.replicates, asked.seed):
        print(f"\n{result.title} ({asked.replicates:,} replicates)\n")
        print(
            tabulate(result.rows, result.head, tablefmt="pipe", floatfmt=".3f" if "%)" not in result.title else ".1f")
        )
        broken += result.broken
    print("\n" + ("\n".join(f"BROKEN {each}" for each in broken) or "All promises hold."))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

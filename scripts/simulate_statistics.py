"""Simulations of paribus.stats: coverage, errors, tuning bias, verdicts, families, power, sequential
seeds, regimes, collapses, false discoveries, factors of grids, times to targets, ranks over data sets, practical
equivalence.

    python scripts/simulate_statistics.py [--replicates 20000] [--seed 0]

Every simulation is vectorised over replicates and, on its first ones, compared with the functions of paribus.stats, so
that what is simulated is what tables print. Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, ndtr, ndtri, stdtr, stdtrit
from simulated import Result, main
from simulated_grids import corrections, grids, tuned_grids
from simulated_practical import practical
from simulated_ranks import rankings

from paribus.stats.collapse import Collapses, falls
from paribus.stats.effect import paired_power
from paribus.stats.intervals import mean_interval
from paribus.stats.multiple import false_discovery, holm
from paribus.stats.paired import Difference, paired_difference, with_falls
from paribus.stats.regimes import HETEROGENEOUS, InRegime, over_regimes
from paribus.stats.sequential import Looks, paired_stages
from paribus.stats.survival import paired_logrank, restricted_mean
from paribus.stats.tuning import select_best
from paribus.stats.verdict import Question, judge

ALPHA = 0.05
OUTCOMES = ("SUPPORTED", "NEGLIGIBLE", "REVERSED", "POSITIVE", "INCONCLUSIVE")
CHECKED = 25  # replicates that are computed by paribus.stats as well


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


@dataclass
class Family:
    """Outcomes (R, m) as indices into OUTCOMES, the bounds (R, m) of the gains, and how many ends are left (R, 1)."""

    outcome: np.ndarray
    low: np.ndarray
    high: np.ndarray
    left: np.ndarray


def family(mean: np.ndarray, error: np.ndarray, n: int, left: np.ndarray, open_: np.ndarray, share: float) -> Family:
    """Holm's steps of stats.verdict in each row, for claims of a gain in units of d. left: ends that are counted."""
    start = left
    while True:
        half = stdtrit(n - 1, 1 - ALPHA * share / left) * error
        low, high = mean - half, mean + half
        out = ((low >= 1) & open_).sum(1, keepdims=True) + ((high < 0) & open_).sum(1, keepdims=True)
        now = np.maximum(2, start - out)
        if (now == left).all():
            return Family(outcome_of(low, high), low, high, left)
        left = now


def outcome_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.select([low >= 1, (low > -1) & (high < 1), high < 0, low > 0], [0, 1, 2, 3], 4)


def wrong(outcome: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Whether an outcome is false of the true gain, in units of d."""
    return np.select(
        [outcome == 0, outcome == 1, outcome == 2, outcome == 3],
        [gain < 1, np.abs(gain) >= 1, gain >= 0, gain <= 0],
        False,
    ).astype(bool)


def whole(x: np.ndarray) -> Family:
    """The family of all claims of each replicate, at one look. x: gains (R, m, n)."""
    mean, error, _ = t_statistics(x)
    shape = mean.shape
    found = family(mean, error, x.shape[-1], np.full((shape[0], 1), 2 * shape[1]), np.ones(shape, dtype=bool), 1.0)
    for k in range(min(CHECKED, len(x))):
        said = judge([Question([paired_difference(d, np.zeros(d.size), exact=False)], smallest=1.0) for d in x[k]])
        for own, outcome, low in zip(said, found.outcome[k], found.low[k], strict=True):
            assert own.verdict.outcome == OUTCOMES[outcome]
            agree(own.verdict.low, low)
    return found


def confusion(replicates: int, seed: int) -> Result:
    """How often the verdict says what, by the truth; sd of the differences = d."""
    found = Result(
        "Verdicts (%) by true gain in units of d; sd of paired differences = d", ["n", "true gain", *OUTCOMES, "wrong"]
    )
    for n, gain in itertools.product((5, 10, 20), (-1.0, 0.0, 0.5, 0.8, 1.0, 2.0)):
        x = np.random.default_rng([seed, n, int(10 * gain) + 50]).normal(gain, 1.0, (replicates, 1, n))
        outcome = whole(x).outcome[:, 0]
        shares, false = np.bincount(outcome, minlength=5) / replicates, wrong(outcome, np.float64(gain)).mean()
        found.rows.append([n, gain, *(100 * shares), 100 * false])
        found.promise(false <= 0.055, f"wrong in {false:.3f} with a gain of {gain} d, n = {n}")
    return found


TRUTHS: dict[str, tuple[float, ...]] = {
    "all 0": (0.0,) * 8,
    "all just below d": (0.999,) * 8,
    "large, just below d, and 0": (9.0, 9.0, 9.0, 0.999, 0.999, 0.0, 0.0, 0.0),
    "negative, just at -d, and 0": (-9.0, -9.0, -9.0, -1.0, -1.0, 0.0, 0.0, 0.0),
    "every side": (9.0, 0.999, 0.5, 0.0, 0.0, -0.5, -1.0, -9.0),
}


def verdicts(replicates: int, seed: int) -> Result:
    """Any wrong verdict among eight claims against one baseline, and how often a printed interval misses the truth."""
    found = Result(
        "Eight claims of one family: any wrong verdict, and intervals that miss (sd of differences = d)",
        ["true gains", "n", "any wrong", "any wrong, each at 5 %", "interval misses, at most"],
    )
    for (name, gains), n in itertools.product(TRUTHS.items(), (5, 10, 40)):
        r = np.random.default_rng([seed, n, len(name)])
        x = r.normal(size=(replicates, 9, n)) * math.sqrt(0.5)
        truth = np.array(gains)
        d = x[:, 1:] - x[:, :1] + truth[:, None]
        said = whole(d)
        any_wrong = wrong(said.outcome, truth).any(1).mean()
        mean, error, _ = t_statistics(d)
        half = stdtrit(n - 1, 1 - ALPHA / 2) * error
        alone = wrong(outcome_of(mean - half, mean + half), truth).any(1).mean()
        missed = ((said.low > truth) | (said.high < truth)).mean(0).max()
        found.rows.append([name, n, any_wrong, alone, missed])
        noise = 0.0 if replicates >= 4_000 else 2 * math.sqrt(0.05 * 0.95 / replicates)
        found.promise(any_wrong <= 0.055 + noise, f"{any_wrong:.3f} of families have a wrong verdict, {name}, n = {n}")
        found.promise(missed <= 0.055 + noise, f"an interval misses in {missed:.3f}, {name}, n = {n}")
    return found


def heterogeneity(replicates: int, seed: int) -> Result:
    """CONDITIONAL over regimes with the same true gain, with deviations that are equal or differ tenfold."""
    found = Result(
        "Regimes with the same true gain: how often they seem to differ",
        ["regimes", "n", "Welch's F, p <= 5 %", "verdicts differ, at most", "CONDITIONAL, at most"],
    )
    for k, n in itertools.product((2, 4), (5, 10, 20)):
        level, naive, conditional = [], [], []
        for number, (gain, sds) in enumerate(itertools.product((0.0, 0.4, 0.9, 1.5), ((1.0,), (0.3, 3.0)))):
            r = np.random.default_rng([seed, k, n, number])
            sd = np.resize(sds, k)[:, None]
            x = r.normal(size=(replicates, k, n)) * sd + gain
            mean, error, _ = t_statistics(x)
            half = stdtrit(n - 1, 1 - ALPHA / 2) * error
            low, high = mean - half, mean + half
            kinds = outcome_of(low, high)
            p = welch_rows(mean, error * math.sqrt(n), n)
            settled = np.where(kinds == 4, -1, kinds)
            first = settled.max(1, keepdims=True)
            differ = ((settled != first) & (settled >= 0)).any(1)
            common = outcome_of(low.min(1), high.max(1))
            says = differ & (common == 4) & (p <= HETEROGENEOUS)
            for row in range(min(5, replicates)):
                said = over_regimes(
                    {str(j): in_regime(paired_difference(x[row, j], np.zeros(n), exact=False)) for j in range(k)}
                )
                agree(said.p, p[row])
                assert (said.outcome == "CONDITIONAL") == says[row]
            level.append(float((p <= HETEROGENEOUS).mean()))
            naive.append(float(differ.mean()))
            conditional.append(float(says.mean()))
        found.rows.append([k, n, max(level), max(naive), max(conditional)])
        noise = 2 * math.sqrt(0.05 * 0.95 / replicates)
        found.promise(
            max(level) <= 0.07 + noise, f"Welch's F rejects in {max(level):.3f} of {k} equal regimes, n = {n}"
        )
        found.promise(
            max(conditional) <= 0.05 + noise, f"CONDITIONAL in {max(conditional):.3f} of {k} equal regimes, n = {n}"
        )
    return found


def in_regime(difference: Difference) -> InRegime:
    return InRegime(judge([Question([difference], smallest=1.0)])[0].verdict, difference)


def welch_rows(mean: np.ndarray, sd: np.ndarray, n: int) -> np.ndarray:
    """p of Welch's F test in each row."""
    k = mean.shape[1]
    w = n / sd**2
    share = w / w.sum(1, keepdims=True)
    between = (w * (mean - (share * mean).sum(1, keepdims=True)) ** 2).sum(1) / (k - 1)
    spread = ((1 - share) ** 2).sum(1) / (n - 1)
    return fdtrc(k - 1, (k * k - 1) / (3 * spread), between / (1 + 2 * (k - 2) * spread / (k * k - 1)))


def collapsing(replicates: int, seed: int) -> Result:
    """Equal means, but 10 % of the runs of one arm end 10 deviations below the others: a gain that is none."""
    found = Result(
        "Arms of equal means, one run in ten of one of them collapses: a gain is found (2.5 % are due)",
        ["n", "kept points", "t test", "with one more collapse", "where a collapse was seen"],
    )
    for n, points in itertools.product((5, 10, 20), (1, 2, 3)):
        r = np.random.default_rng([seed, n, points, 8])
        tuning = 3
        fallen = r.random((replicates, points, n + tuning)) < 0.1
        d = r.normal(size=(replicates, n)) - 10.0 * fallen[:, 0, tuning:] + 1.0  # the mean gain is zero
        typical, seen = np.median(d, axis=1), fallen.any((1, 2))
        mean, _, p = t_statistics(d)
        plain = (p <= ALPHA) & (mean > 0)
        more = np.concatenate([d, (typical - 10.0)[:, None]], axis=1)
        mean, _, p = t_statistics(more)
        guarded = np.where(seen, (p <= ALPHA) & (mean > 0), plain)
        for k in range(min(CHECKED, replicates)):
            ours = paired_difference(d[k], np.zeros(n), exact=False)
            if seen[k]:
                once = Collapses(1, n, -10.0)
                ours = with_falls(ours, falls(float(typical[k]), once, Collapses(0, n)))
            assert (ours.limits(ALPHA / 2)[0] > 0) == guarded[k]
        found.rows.append([n, points, float(plain.mean()), float(guarded.mean()), float(guarded[seen].mean())])
        found.promise(guarded[seen].mean() <= 0.03, f"{guarded[seen].mean():.3f} although a collapse was seen, n = {n}")
        if points == 3:
            found.promise(guarded.mean() <= 0.055, f"{guarded.mean():.3f} with three kept points, n = {n}")
    return found


def discoveries(replicates: int, seed: int) -> Result:
    """The board: of verdicts with a false discovery rate of 5 %, the share that is wrong."""
    found = Result(
        "A board of 12 ablations with five claims each: wrong among verdicts that stand at a rate of 5 %",
        ["true gains", "n", "standing, mean", "wrong, mean share", "wrong among those settled by Holm"],
    )
    truths = {"all 0": (0.0,) * 5, "mixed": (3.0, 0.999, 0.0, 0.0, -3.0), "near d": (1.5, 0.999, 0.9, 0.0, 0.0)}
    for (name, gains), n in itertools.product(truths.items(), (5, 10, 20)):
        r = np.random.default_rng([seed, n, len(name), 9])
        truth = np.array(gains)
        boards = max(1, replicates // 10)
        x = r.normal(size=(boards * 12, 6, n)) * math.sqrt(0.5)
        said = whole(x[:, 1:] - x[:, :1] + truth[:, None])
        mean, error, _ = t_statistics(x[:, 1:] - x[:, :1] + truth[:, None])
        p = p_alone(mean, error, n, said.outcome).reshape(boards, -1)
        settled = (said.outcome != 4).reshape(boards, -1)
        false = wrong(said.outcome, truth).reshape(boards, -1)
        standing = np.array([false_discovery(row) for row in p]) <= 0.05
        standing &= settled
        rate = ((standing & false).sum(1) / np.maximum(1, standing.sum(1))).mean()
        plain = ((settled & false).sum(1) / np.maximum(1, settled.sum(1))).mean()
        found.rows.append([name, n, standing.sum(1).mean(), rate, plain])
        found.promise(rate <= 0.055, f"{rate:.3f} of the standing verdicts are wrong, {name}, n = {n}")
    return found


def p_alone(mean: np.ndarray, error: np.ndarray, n: int, outcome: np.ndarray) -> np.ndarray:
    """Verdict.p_alone: two-sided p of what each outcome denies."""

    def above(margin: float) -> np.ndarray:
        return stdtr(n - 1, -(mean - margin) / error)

    def below(margin: float) -> np.ndarray:
        return stdtr(n - 1, (mean - margin) / error)

    zero = np.minimum(above(0.0), below(0.0))
    p = np.select([outcome == 0, outcome == 1], [above(1.0), np.maximum(above(-1.0), below(1.0))], zero)
    return np.minimum(1.0, 2 * p)


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
    """Seeds added where the verdict is open: errors over all claims of a family, and what they cost."""
    found = Result(
        f"Sequential seeds, {arms} claims against one baseline (sd = d)",
        ["looks", "true gains", "significant, every look at 5 %", "any wrong verdict", "interval misses", "mean seeds",
         "settled (%)"],
    )  # fmt: skip
    for sizes in ((10, 20, 30), (5, 10, 15, 20, 25, 30), (3, 6, 12, 24), (10, 90, 170)):
        for name in ("all 0", "large, just below d, and 0", "every side"):
            looks, truth = Looks(sizes), np.array(TRUTHS[name])
            r = np.random.default_rng([seed, len(sizes), sizes[-1], len(name)])
            said = _sequential(r, replicates if sizes[-1] < 50 else max(1, replicates // 4), arms, looks, truth)
            any_wrong, missed = said.wrong.any(1).mean(), said.missed.mean(0).max()
            naive = said.naive.any(1).mean() if name == "all 0" else "-"
            shown = [" ".join(map(str, sizes)), name, naive, any_wrong, missed]
            found.rows.append([*shown, said.seeds.mean(), 100 * said.settled.mean()])
            found.promise(any_wrong <= 0.055, f"a wrong verdict in {any_wrong:.3f} of families, {name}, looks {sizes}")
            found.promise(missed <= 0.055, f"an interval misses in {missed:.3f}, {name}, looks {sizes}")
    return found


@dataclass
class _Arms:
    """(replicates, arms) each. naive: significant at any look, if none stopped; the others as arms stop."""

    naive: np.ndarray
    wrong: np.ndarray
    missed: np.ndarray
    seeds: np.ndarray
    settled: np.ndarray


def _sequential(r: np.random.Generator, replicates: int, arms: int, looks: Looks, truth: np.ndarray) -> _Arms:
    x = r.normal(size=(replicates, arms + 1, looks.cap)) * math.sqrt(0.5)
    d = x[:, 1:] - x[:, :1] + truth[:, None]
    shape = (replicates, arms)
    open_, naive = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    outcome, low, high, seeds = np.full(shape, 4), np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=int)
    left = np.full((replicates, 1), 2 * arms)
    for size, share in zip(looks.sizes, looks.shares, strict=True):
        mean, error, p = t_statistics(d[..., :size])
        naive |= p <= ALPHA
        said = family(mean, error, size, left, open_, share)
        left = said.left
        outcome, low, high = (
            np.where(open_, new, old) for new, old in ((said.outcome, outcome), (said.low, low), (said.high, high))
        )
        seeds = np.where(open_, size, seeds)
        open_ = outcome == 4
    for k in range(min(5, replicates)):
        stages = [
            paired_stages(d[k, arm, : seeds[k, arm]], np.zeros(seeds[k, arm]), looks, False) for arm in range(arms)
        ]
        for arm, own in enumerate(judge([Question(each, smallest=1.0) for each in stages])):
            assert own.verdict.outcome == OUTCOMES[outcome[k, arm]], (own.verdict, OUTCOMES[outcome[k, arm]])
            agree(own.verdict.low, low[k, arm])
    missed = (low > truth) | (high < truth)
    return _Arms(naive, wrong(outcome, truth), missed, seeds, outcome != 4)


def first_validations(
    r: np.random.Generator,
    shape: tuple[int, ...],
    spread: float,
    share: float,
    never: float = 0.0,
    luck: float = 0.0,
    validations: int = 20,
) -> np.ndarray:
    """The number of the validation that finds each run at a target; one more than `validations` if none does.

    The logarithm of a run's time is normal with this spread, of which a share `luck` of the variance is that of its
    seed, the last axis; `share` of the runs get there in their budget, but for those that never do.
    """
    z = r.normal(size=shape)
    if luck:
        z = math.sqrt(1 - luck) * z + math.sqrt(luck) * r.normal(size=(shape[0], 1, shape[-1]))
    times = validations * np.exp(spread * (z - ndtri(share)))
    times[r.random(shape) < never] = np.inf
    return np.minimum(np.ceil(times), validations + 1).astype(int)


def true_mean(spread: float, share: float, never: float) -> float:
    """Of the true times, restricted to the budget, as a part of this."""
    t = (np.arange(100_000) + 0.5) / 100_000
    return float((never + (1 - never) * ndtr(-ndtri(share) - np.log(t) / spread)).mean())


def as_times(k: np.ndarray, validations: int) -> tuple[list[float], list[bool]]:
    """For paribus.stats."""
    return np.minimum(k, validations).astype(float).tolist(), (k <= validations).tolist()


def target_tests(replicates: int, seed: int) -> Result:
    """Of the paired log-rank test, for arms that are alike and share the luck of their seeds."""
    found = Result(
        "Times to a target: type-I error at 5 %, arms that are alike, half of the variance due to the seed",
        ["reach it", "never do", "n", "paired log-rank", "power, 3 validations faster", "power of the unpaired one"],
    )
    for (share, never), n in itertools.product(((0.99, 0.0), (0.7, 0.0), (0.3, 0.0), (0.9, 0.1)), (6, 10)):
        r = np.random.default_rng([seed, n, int(100 * share)])
        signs = np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
        rates = []
        for faster in (0, 3):
            k = first_validations(r, (replicates, 2, n), 0.2, share, never, luck=0.5)
            k[:, 0] = np.where(k[:, 0] <= 20, np.maximum(1, k[:, 0] - faster), k[:, 0])
            scores = logrank_rows(k.reshape(replicates, 2 * n), 20).reshape(k.shape)
            d = scores[:, 0] - scores[:, 1]
            parts = np.array_split(d, max(1, replicates // 500))
            p = np.concatenate(
                [(np.abs(part @ signs.T) >= np.abs(part.sum(1))[:, None] - 1e-9).mean(1) for part in parts]
            )
            for row in range(CHECKED):
                (a, reached_a), (b, reached_b) = (as_times(each, 20) for each in k[row])
                agree(paired_logrank(a, b, reached_a, reached_b).p, p[row])
            rates.append([float((each <= ALPHA).mean()) for each in (p, unpaired(k, scores))])
        (level, _), (power, other) = rates
        found.rows.append([share, never, n, level, power, other])
        noise = 0.0 if replicates >= 10_000 else 2 * math.sqrt(0.05 * 0.95 / replicates)
        found.promise(level <= 0.055 + noise, f"{level:.3f} at n = {n}, {share} reach it, {never} never do")
    return found


def logrank_rows(k: np.ndarray, validations: int) -> np.ndarray:
    """Log-rank scores (R, n) of the runs that are pooled in each row."""
    rows = np.arange(len(k))[:, None]
    counts = np.zeros((len(k), validations + 2))
    np.add.at(counts, (rows, k), 1)
    risk = k.shape[1] - np.cumsum(counts, 1) + counts
    hazard = np.cumsum(np.divide(counts, risk, out=np.zeros_like(counts), where=risk > 0), 1)
    scores: np.ndarray = (k <= validations) - hazard[rows, np.minimum(k, validations)]
    return scores


def unpaired(k: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """p of the usual log-rank test of the arms k (R, 2, n), by its normal limit."""
    variance = np.zeros(len(k))
    for at in range(1, 21):
        risk, events = (k >= at).sum(2), (k == at).sum((1, 2))
        total = risk.sum(1)
        own = risk[:, 0] / np.maximum(total, 1)
        variance += np.where(total > 1, events * own * (1 - own) * (total - events) / np.maximum(total - 1, 1), 0.0)
    z = np.divide(scores[:, 0].sum(1), np.sqrt(variance), out=np.zeros(len(k)), where=variance > 0)
    p: np.ndarray = 2 * ndtr(-np.abs(z))
    return p


def restricted_means(replicates: int, seed: int) -> Result:
    """Coverage of the restricted mean, for runs of which some do not reach the target in their budget."""
    found = Result(
        "Times to a target: coverage of a nominal 95 % interval of the restricted mean",
        ["validations", "spread of log time", "reach it", "n", "coverage", "Student's", "one in ten never does"],
    )
    for validations, spread, share, n in itertools.product(
        (20, 100), (0.1, 0.3), (0.99, 0.7, 0.5, 0.3, 0.1), (5, 10, 20)
    ):
        r = np.random.default_rng([seed, n, int(100 * share), int(100 * spread), validations])
        shares: list[float] = []
        for never in (0.0, 0.1):
            k = first_validations(r, (replicates, n), spread, share, never, validations=validations)
            truth = validations * true_mean(spread, share, never)
            low, high, mean, half = restricted_rows(k, validations)
            for row in range(CHECKED):
                times, reached = as_times(k[row], validations)
                since = [time - there for time, there in zip(times, reached, strict=True)]
                ours = restricted_mean(times, reached, validations, since=since)
                agree(ours.low, low[row])
                agree(ours.high, high[row])
            shares += [float(((low <= truth) & (truth <= high)).mean()), float((np.abs(mean - truth) <= half).mean())]
        found.rows.append([validations, spread, share, n, *shares[:3]])
        noise = 2 * math.sqrt(0.06 * 0.94 / replicates) if replicates < 10_000 else 0.0
        found.promise(
            shares[0] >= 0.94 - noise,
            f"{shares[0]:.3f} at n = {n}, {validations} validations, spread {spread}, {share} reach it",
        )
    return found


def restricted_rows(k: np.ndarray, validations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Limits (R,) of the restricted mean of each row, its mean, and half the width of Student's interval."""
    reached, x = k <= validations, np.minimum(k, validations).astype(float)
    since = np.where(reached, k - 1.0, float(validations))
    quickest = np.where(reached.any(1), since.min(1), 0.0)
    quick = np.where(reached.any(1), np.maximum(0, 2 * quickest - validations), 0.0)

    def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = values.shape[1]
        return values.mean(1), stdtrit(n - 1, 1 - ALPHA / 2) * values.std(1, ddof=1) / math.sqrt(n)

    (mean, half), (below, down) = interval(x), interval(since)
    sooner, wide = interval(np.column_stack([since, quick]))
    never, late = interval(np.column_stack([x, np.full(len(x), float(validations))]))
    some = ~reached.all(1)
    low = np.where(some, np.minimum(below - down, sooner - wide), below - down)
    high = np.where(some, np.maximum(mean + half, never + late), mean + half)
    return np.maximum(0, low), np.minimum(validations, high), mean, half


SIMULATIONS = (
    coverage, type_one, family_wise, tuning_bias, confusion, verdicts, power, sequential, heterogeneity, collapsing,
    discoveries, grids, corrections, tuned_grids, target_tests, restricted_means, rankings, practical,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(SIMULATIONS, 20_000, __doc__))

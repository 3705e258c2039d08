"""Simulation of paribus.stats.factors, vectorised over replicates: errors of the tests, coverage of the shares."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from scipy.special import fdtrc, fdtri
from simulated import Result

from paribus.stats.factors import Term, decompose
from paribus.stats.multiple import holm
from paribus.stats.tuned import cross_fitted, near_ties

ALPHA = 0.05
CHECKED = 3  # replicates of each case that are computed by paribus.stats as well
GRIDS = ((2, 2), (4, 3), (8, 2), (2, 2, 2))


def grids(replicates: int, seed: int) -> Result:
    """Terms without effect that are called significant, and shares outside their intervals."""
    found = Result(
        "Grids: a term without effect is significant at 5 %, at most; any of them after Holm; a share lies in its "
        "interval, at least; the mean width of intervals",
        ["grid", "n", "deviations", "main effect", "interaction", "any", "covered", "width"],
    )
    for sizes, n in itertools.product(GRIDS, (5, 10)):
        levels = np.array(list(itertools.product(*map(range, sizes))))
        for number, (name, spread) in enumerate(deviations(levels).items()):
            r = np.random.default_rng([seed, len(levels), n, number])
            draw = DRAWS.get(name, DRAWS["equal"])

            def runs(means: np.ndarray, count: int) -> np.ndarray:
                """Of so many replicates; what a seed does to all arms is there too."""
                return means + spread * draw(r, (count, n, len(means))) + r.normal(size=(count, n, 1))  # noqa: B023

            p, _, _ = simulate(runs(np.zeros(len(levels)), replicates), levels, np.zeros(len(levels)))
            alone = [max((p[term] <= ALPHA).mean() for term in p if (len(term) > 1) == crossed) for crossed in (0, 1)]
            any_ = (len(p) * np.min(list(p.values()), axis=0) <= ALPHA).mean()  # Holm's first step
            covered, widths, count = [], [], max(1, replicates // 4)
            for means in truths(levels):
                _, shares, true = simulate(runs(means, count), levels, means)
                for term, (low, high) in shares.items():
                    covered.append(((low <= true[term] + 1e-9) & (high >= true[term] - 1e-9)).mean())
                    widths.append((high - low).mean())
            found.rows.append([" x ".join(map(str, sizes)), n, name, *alone, any_, min(covered), np.mean(widths)])
            where = f"{found.rows[-1][:3]}"
            for what, share in zip(("a main effect", "an interaction", "any term"), (*alone, any_), strict=True):
                found.at_most(float(share), 0.055, replicates, f"{what} is significant, {where}")
            found.at_most(1 - min(covered), 0.06, count, f"shares lie outside their intervals, {where}")
    return found


def corrections(replicates: int, seed: int) -> Result:
    """The test of one factor where one level is noisier: Greenhouse and Geisser's degrees of freedom and their rivals.

    Five times as many replicates as are asked for, since the largest error of many cases is sought. Flipping the signs
    of the seeds' effects is no rival: with five seeds its smallest p is 1 / 16.
    """
    found = Result(
        "One factor with a level that is noisier: its test at 5 % without an effect, and with one, by its degrees of "
        "freedom (Greenhouse & Geisser, Huynh & Feldt, Box's lower bound)",
        ["levels", "n", "noisier", "G & G", "H & F", "Box", "power: G & G", "H & F", "Box"],
    )
    count = 5 * replicates
    for size, n, noisier in itertools.product((3, 8, 16), (4, 5, 6, 10), (1.0, 3.0, 10.0)):
        r = np.random.default_rng([seed, size, n, int(noisier)])
        spread = np.where(np.arange(size) == 0, noisier, 1.0)
        projected = np.diag(spread**2) @ (np.eye(size) - 1 / size)
        line = np.linspace(-1, 1, size)
        effect = 2.2 * math.sqrt(np.trace(projected) / n) * line / np.linalg.norm(line)
        rates = np.zeros((2, 3))
        for part in np.array_split(np.arange(count), max(1, count // 10_000)):
            y = spread * r.normal(size=(len(part), n, size))
            for row, means in enumerate((np.zeros(size), effect)):
                rates[row] += sum_rejected(y + means)
        found.rows.append([size, n, noisier, *(rates / count).reshape(-1)])
        found.at_most(rates[0, 0] / count, 0.055, count, f"a factor is significant, {found.rows[-1][:3]}")
    return found


def sum_rejected(y: np.ndarray) -> np.ndarray:
    """How many of the replicates (R, n, C) are significant, by each correction."""
    n, size = y.shape[1:]
    length, trace, f = sizes_of(y - y.mean(2, keepdims=True))
    wide = n - 1 - f
    huynh_feldt = np.where(wide > 0, np.clip((n * f - 2) / np.where(wide > 0, wide, 1), 1, size - 1), size - 1)
    p = [fdtrc(each, each * (n - 1), n * length**2 / trace) for each in (f, huynh_feldt, np.ones_like(f))]
    return (np.array(p) <= ALPHA).sum(1)


DRAWS = {
    "equal": lambda r, shape: r.normal(size=shape),
    "skewed": lambda r, shape: r.exponential(size=shape) - 1,
}


def deviations(levels: np.ndarray) -> dict[str, np.ndarray]:
    """Of the runs of each arm."""
    arms = len(levels)
    return {
        "equal": np.ones(arms),
        "one arm 10 times": np.where(np.arange(arms) == arms - 1, 3.0, 0.3),
        "one level 10 times": np.where(levels[:, 0] == 0, 3.0, 0.3),
        "skewed": np.ones(arms),
    }


def truths(levels: np.ndarray) -> list[np.ndarray]:
    """Means of the arms: one factor matters, two, all terms, one arm alone; each a little and a lot."""
    r = np.random.default_rng(1)
    a, b = (r.normal(size=int(column.max()) + 1)[column] for column in levels.T[:2])
    every = r.normal(size=len(levels))
    alone = np.where(np.arange(len(levels)) == len(levels) - 1, -3.0, 0.0)
    shapes = [a, a + b, a + 0.5 * b + 0.5 * every, alone]
    return [size * (x - x.mean()) / x.std() for x in shapes for size in (0.5, 2.0)]


def simulate(
    y: np.ndarray, levels: np.ndarray, means: np.ndarray
) -> tuple[dict[Term, np.ndarray], dict[Term, tuple[np.ndarray, np.ndarray]], dict[Term, float]]:
    """p and limits of the shares (R,) of each term, and the true shares, nan where no means differ. y: (R, n, C)."""
    y = y - y.mean(2, keepdims=True)
    length, trace, freedom = sizes_of(y)
    n, total = y.shape[1], float(((means - means.mean()) ** 2).sum())
    radius = np.sqrt(trace / n * fdtri(freedom, freedom * (n - 1), 1 - ALPHA))
    turn = np.where(radius < length, np.arcsin(np.minimum(1, radius / length)), math.pi / 2)
    p, shares, true = {}, {}, {}
    for term, project in projections(levels).items():
        own, noise, f = sizes_of(y @ project)
        p[term] = fdtrc(f, f * (n - 1), n * own**2 / noise)
        angle = np.arccos(np.minimum(1, own / length))
        low = np.cos(np.minimum(angle + turn, math.pi / 2)) ** 2
        high = np.where(turn < math.pi / 2, np.cos(np.maximum(angle - turn, 0)) ** 2, 1)
        shares[term] = np.where(turn < math.pi / 2, low, 0), high
        true[term] = float(means @ project @ means) / total if total else math.nan
    for k in range(min(CHECKED, len(y))):
        effects = decompose(y[k], levels).effects
        adjusted = holm([p[each.term][k] for each in effects])
        for each, own_p in zip(effects, adjusted, strict=True):
            low, high = shares[each.term]
            np.testing.assert_allclose([each.p, each.low, each.high], [own_p, low[k], high[k]], atol=1e-9)
    return p, shares, true


def sizes_of(part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length of the mean, trace of the covariance, and degrees of freedom by Greenhouse and Geisser, (R,) each."""
    mean = part.mean(1, keepdims=True)
    apart = part - mean
    gram = apart @ apart.transpose(0, 2, 1) / (part.shape[1] - 1)
    trace = np.trace(gram, axis1=1, axis2=2)
    return np.linalg.norm(mean[:, 0], axis=1), trace, trace**2 / (gram**2).sum((1, 2))


def projections(levels: np.ndarray) -> dict[Term, np.ndarray]:
    """Of the terms of a full grid, by Kronecker products of means and what differs from them."""
    blocks = [(np.full((size, size), 1 / size), np.eye(size) - 1 / size) for size in levels.max(0) + 1]
    factors = range(len(blocks))
    terms = [term for size in factors for term in itertools.combinations(factors, size + 1)]
    return {term: functools.reduce(np.kron, [blocks[factor][factor in term] for factor in factors]) for term in terms}


def tuned_grids(replicates: int, seed: int) -> Result:
    """Four equal arms, each tuned over seven rates with three seeds of its own: the luck of tuning is no effect.

    One replicate of twenty that are asked for, since each is computed by paribus.stats.
    """
    found = Result(
        "A grid of four tuned arms that are alike: any term is significant at 5 % after Holm",
        ["n", "curvature", "with kept points", "at the winner"],
    )
    levels, rates, count = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.linspace(-1, 1, 7), max(1, replicates // 20)
    for n, curvature in itertools.product((10, 50), (1.0, 4.0)):
        r = np.random.default_rng([seed, n, int(curvature)])
        any_ = np.zeros((count, 2), dtype=bool)
        for k in range(count):
            means = -curvature * (rates - r.uniform(-0.2, 0.2)) ** 2
            arms = [tuned_arm(r, means, n) for _ in levels]
            kept, winners = (np.array([arm[side] for arm in arms]).T for side in (0, 1))
            slack = np.array([arm[2] for arm in arms])
            for side, effects in enumerate(
                (decompose(kept, levels, slack=slack).effects, decompose(winners, levels).effects)
            ):
                any_[k, side] = min(each.p for each in effects) <= ALPHA
        shares = any_.mean(0).tolist()
        found.rows.append([n, curvature, *shares])
        found.at_most(shares[0], 0.055, count, f"any term of equal tuned arms, n = {n}, curvature {curvature}")
    return found


def tuned_arm(r: np.random.Generator, means: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Runs of an arm as evidence.factorial has them: about the mean of the table, and at the winner; and the slack."""
    tuning, reporting = (means[:, None] + r.normal(size=(len(means), size)) for size in (3, n))
    best = int(tuning.mean(1).argmax())
    near = np.flatnonzero(near_ties(tuning, best))
    choice = cross_fitted(tuning[near], reporting[near])
    mean = float(reporting[near][choice, range(n)].mean())
    winner = reporting[best]
    return winner - winner.mean() + mean, winner, float(np.abs(reporting[near].mean(1) - mean).max())

"""Simulation of paribus.stats.practical, vectorised over replicates: are its probabilities right?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from scipy.special import gammaincc, ndtr, stdtr
from simulated import Result

from paribus.stats.paired import paired_difference
from paribus.stats.practical import PRIOR, over_data_sets, over_seeds

SURE = 0.95
CHECKED = 5  # replicates of each case that are computed by paribus.stats as well
DRAWS = 2_000
RANGE = 3.0  # true effects, in units of the smallest effect of interest, lie within ± this
Answers = Callable[[np.ndarray], np.ndarray]  # (R, n) differences, in units of d -> (R, 3) probabilities


def practical(replicates: int, seed: int) -> Result:
    """Effects that are drawn evenly, and effects at the edge of the smallest one of interest."""
    found = Result(
        "Better, same or worse by d: answers that are given a probability of 95 % and their share that is right, the "
        "same of 80 to 95 %; at the edge, wrong ones",
        ["of", "deviation / d", "n", "95 %", "right", "80 %", "right", "edge: better", "edge: same", "same, of 0"],
    )
    for (shape, spread), n in itertools.product(
        (("normal", 0.3), ("normal", 1.0), ("normal", 2.0), ("skewed", 1.0)), (6, 10, 20)
    ):
        r = np.random.default_rng([seed, n, int(10 * spread), shape == "skewed"])
        answer = signed_ranks(n, replicates)
        tested(found, r, f"data sets, {shape}", spread, n, answer, TAILS[shape], replicates)
    for spread, n in itertools.product((0.3, 1.0, 2.0), (3, 5, 10)):
        r = np.random.default_rng([seed, n, int(10 * spread), 2])
        tested(found, r, "seeds, normal", spread, n, student, None, replicates)
    return found


def tested(
    found: Result, r: np.random.Generator, name: str, spread: float, n: int, answer: Answers,
    tail: Callable[[np.ndarray], np.ndarray] | None, replicates: int,
) -> None:  # fmt: skip
    """A row of the table. tail: of the distribution of (z + z') / 2 between data sets, see `truth`."""

    def draws(effects: np.ndarray) -> np.ndarray:
        noise = r.exponential(size=(len(effects), n)) - 1 if "skewed" in name else r.normal(size=(len(effects), n))
        return effects[:, None] + spread * noise

    effects = r.uniform(-RANGE, RANGE, replicates)
    p, right = answer(draws(effects)), truth(effects, spread, tail)
    said, true = p.max(1), p.argmax(1) == right
    line: list[object] = [name, spread, n]
    for low, high in ((SURE, 1.01), (0.8, SURE)):
        chosen = (said >= low) & (said < high)
        share = float(true[chosen].mean()) if chosen.any() else math.nan
        line += [float(chosen.mean()), share]
        wrong, count = 1 - share, int(chosen.sum())
        if count >= 50:
            found.at_most(wrong, 1.5 * (1 - low), count, f"answers of {low:.0%} are wrong, {line[:3]}")
    grid = np.linspace(-RANGE, RANGE, 60_001)
    edge = float(grid[np.flatnonzero(np.diff(truth(grid, spread, tail)))[-1]])  # above it, better is true
    at_edge, of_none = (answer(draws(np.full(replicates, at))) for at in (edge, 0.0))
    wrong_better, wrong_same = ((at_edge[:, k] >= SURE).mean() for k in (0, 1))
    found.rows.append([*line, wrong_better, wrong_same, (of_none[:, 1] >= SURE).mean()])
    found.at_most(float(wrong_better), 0.06, replicates, f"better is wrong at the edge, {line[:3]}")
    found.at_most(float(wrong_same), 0.14 if tail else 0.05, replicates, f"same is wrong at the edge, {line[:3]}")


def truth(effects: np.ndarray, spread: float, tail: Callable[[np.ndarray], np.ndarray] | None) -> np.ndarray:
    """The right answer to each effect: where it lies, or into which part the mean of two data sets falls most often.

    tail: how often (z + z') / 2 of two data sets is above x deviations; None where the effect itself is asked for.
    """
    if tail is None:
        return np.where(effects > 1, 0, np.where(effects < -1, 2, 1))
    above, below = tail((1 - effects) / spread), 1 - tail((-1 - effects) / spread)
    return np.stack([above, 1 - above - below, below], axis=1).argmax(1)


TAILS = {
    "normal": lambda x: ndtr(-math.sqrt(2) * x),
    "skewed": lambda x: gammaincc(2, np.maximum(0, 2 * (x + 1))),  # of an exponential variable minus 1
}


def signed_ranks(n: int, replicates: int) -> Answers:
    """The Bayesian signed-rank test; all replicates take the same draws, as paribus.stats does."""
    weights = np.random.default_rng(1).dirichlet([PRIOR, *np.ones(n)], size=DRAWS)
    first, second = np.triu_indices(n + 1)
    pairs = weights[:, first] * weights[:, second] * np.where(first == second, 1, 2)  # (DRAWS, pairs)

    def answer(d: np.ndarray) -> np.ndarray:
        z = np.column_stack([np.zeros(len(d)), d])
        parts = []
        for part in np.array_split(z, max(1, len(z) // 500)):
            sums = part[:, first] + part[:, second]
            up, down = (pairs @ there.T.astype(float) for there in (sums > 2, sums < -2))
            largest = np.argmax([up, 1 - up - down, down], axis=0)
            parts.append(np.stack([(largest == k).mean(0) for k in range(3)], axis=1))
        found = np.concatenate(parts)
        for k in range(min(CHECKED, replicates)):
            own = over_data_sets(d[k], 1.0)
            np.testing.assert_allclose(found[k], [own.above, own.same, own.below], atol=0.05)  # of other draws
        return found

    return answer


def student(d: np.ndarray) -> np.ndarray:
    """The Bayesian t test."""
    n = d.shape[1]
    mean, scale = d.mean(1), d.std(1, ddof=1) / math.sqrt(n)
    above, below = stdtr(n - 1, (mean - 1) / scale), stdtr(n - 1, (-1 - mean) / scale)
    found: np.ndarray = np.stack([above, 1 - above - below, below], axis=1)
    for k in range(CHECKED):
        own = over_seeds(paired_difference(d[k], np.zeros(n), exact=False), 1.0)
        np.testing.assert_allclose(found[k], [own.above, own.same, own.below], atol=1e-9)
    return found

"""Sequential seeds: they are added until the verdict is settled, with thresholds for repeated tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from paribus.stats.paired import Difference, paired_difference


@dataclass(frozen=True)
class Looks:
    r"""The numbers of seeds at which the data are looked at, fixed before the first; the last is the cap.

    Look k may spend the share $w_k = (n_k - n_{k-1}) / n_K$ of the error: spending that is linear in the seeds
    (Kim & DeMets 1987, rho = 1). It is spent by Bonferroni, so that
    $P(\exists k: p_k \le \alpha w_k) \le \sum_k \alpha w_k = \alpha$ for every n, every dependence between the looks
    and every rule for going on, as long as p is valid at a fixed n, as that of the t test is. Boundaries that use
    the correlation of the looks (Pocock 1977) reject a little more, but hold for many seeds only.

    Raises ValueError unless sizes ascend from at least 2.

    Source: Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials"; Jennison & Turnbull 1989,
    "Interim analyses: the repeated confidence interval approach".
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes or self.sizes[0] < 2 or any(b <= a for a, b in zip(self.sizes, self.sizes[1:], strict=False)):
            raise ValueError(
                f"looks are ascending numbers of seeds from at least 2, got {self.sizes}. Try (10, 20, 30)"
            )

    @property
    def cap(self) -> int:
        return self.sizes[-1]

    @property
    def shares(self) -> tuple[float, ...]:
        """(K,): of the error that each look may spend; they sum to 1."""
        before = (0, *self.sizes)
        return tuple((size - last) / self.cap for size, last in zip(self.sizes, before, strict=False))

    def reached(self, n: int) -> int:
        """How many looks are over with n seeds."""
        return sum(size <= n for size in self.sizes)

    def next(self, n: int) -> int | None:
        """The number of seeds of the look after n seeds, None at the cap."""
        return next((size for size in self.sizes if size > n), None)


def sequential_p(p: Sequence[float], looks: Looks) -> float:
    r"""$\min(1, \min_k p_k / w_k)$ over the looks so far. It is below alpha in at most alpha of all cases.

    It is a p value like any other: Holm's adjustment holds for arms that stopped at different looks. nan where a look
    has none (less than two pairs) does not count, but has spent its share.

    p: (k,), the p value at each look so far.
    """
    spent = [value / share for value, share in zip(p, looks.shares, strict=False) if not math.isnan(value)]
    return min(1.0, *spent) if spent else math.nan


def sequential_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, looks: Looks, level: float = 0.95
) -> Difference:
    r"""a - b after as many looks as n allows, with p values by `sequential_p` and a repeated confidence interval.

    The interval has level $1 - (1 - level) w_k$ at look k, so that the intervals of all looks hold together with
    probability `level`. Pairs beyond the last look that is over are not looked at.

    a, b: (n,), in the order in which the seeds are added; nan where a run of the pair is missing.

    Raises ValueError unless both have one value for each seed.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"pairs need as many values on both sides, got {x.size} and {y.size}. Keep the shared seeds")
    stages = []
    for size, share in zip(looks.sizes[: looks.reached(x.size)], looks.shares, strict=False):
        pair = ~np.isnan(x[:size] - y[:size])
        stages.append(paired_difference(x[:size][pair], y[:size][pair], 1 - (1 - level) * share))
    if not stages:
        return paired_difference([], [], level)
    return replace(
        stages[-1],
        p=sequential_p([stage.p for stage in stages], looks),
        p_sign_flip=sequential_p([stage.p_sign_flip for stage in stages], looks),
    )


def bounds_level(n: int, looks: Looks | None, level: float = 0.95) -> float:
    """The level of an interval at n seeds: `level` without looks, else that of the last look that is over."""
    if looks is None or not looks.reached(n):
        return level
    return 1 - (1 - level) * looks.shares[looks.reached(n) - 1]

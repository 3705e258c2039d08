"""Sequential seeds: they are added until the verdict is settled, with thresholds for repeated tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    given: the shares of looks that were amended, see `amended.amended`.

    Raises ValueError unless sizes ascend from at least 2.

    Source: Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials"; Jennison & Turnbull 1989,
    "Interim analyses: the repeated confidence interval approach".
    """

    sizes: tuple[int, ...]
    given: tuple[float, ...] = ()

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
        """(K,): of the error that each look may spend; they sum to 1, or to less where looks were amended."""
        if self.given:
            return self.given
        before = (0, *self.sizes)
        return tuple((size - last) / self.cap for size, last in zip(self.sizes, before, strict=False))

    def share(self, n: int) -> float:
        """Of the error, that of the last look that is over with n seeds; 1 before the first."""
        return self.shares[self.reached(n) - 1] if self.reached(n) else 1.0

    def reached(self, n: int) -> int:
        """How many looks are over with n seeds."""
        return sum(size <= n for size in self.sizes)

    def next(self, n: int) -> int | None:
        """The number of seeds of the look after n seeds, None at the cap."""
        return next((size for size in self.sizes if size > n), None)


def stages(n: int, looks: Looks | None, difference: Callable[[int], Difference]) -> list[Difference]:
    """The difference at each look that is over with n seeds, with the look's share; without looks the one of all n.

    difference: (size) -> the difference over the first `size` seeds, in the order in which they were added.
    """
    if looks is None:
        return [difference(n)]
    return [
        replace(difference(size), share=share)
        for size, share in zip(looks.sizes[: looks.reached(n)], looks.shares, strict=False)
    ]


def paired_stages(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, looks: Looks | None, exact: bool = True
) -> list[Difference]:
    """a - b at each look that is over.

    a, b: (n,), in the order in which the seeds are added; nan where a run of the pair is missing.

    Raises ValueError unless both have one value for each seed.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"pairs need as many values on both sides, got {x.size} and {y.size}. Keep the shared seeds")
    with np.errstate(invalid="ignore"):
        there = ~np.isnan(x - y)

    def first(size: int) -> Difference:
        kept = np.flatnonzero(there[:size])
        return paired_difference(x[kept].tolist(), y[kept].tolist(), exact=exact)

    return stages(x.size, looks, first)

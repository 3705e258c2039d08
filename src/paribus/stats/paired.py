"""The comparison of arms that share their seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from paribus.stats.intervals import mean_interval, t_quantile
from paribus.stats.signflip import ROUNDING, sign_flip


@dataclass(frozen=True)
class Difference:
    """Mean difference over n pairs, its deviation and t interval; effect size d_z = mean / sd.

    p: two-sided, of the paired t test.
    p_sign_flip: two-sided, whatever the distribution, but never below 2 / 2^n, see `signflip.sign_flip`.
    below, above: of arms that were tuned, the comparisons whose least lower and largest upper limits are those of this
        one, see `tuned.tuned_difference`; empty where the limits are its own.
    share: of the error, which the look at these pairs may spend, see `sequential.Looks`.
    falls: differences of runs that may collapse like those that did, see `collapse.falls`. They count in the tests and
        limits of the methods below, and not in the numbers above.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    d_z: float
    p: float
    p_sign_flip: float
    below: tuple[Difference, ...] = ()
    above: tuple[Difference, ...] = ()
    share: float = 1.0
    falls: tuple[float, ...] = ()

    @property
    def turned(self) -> Difference:
        """The other arm minus this one."""
        below, above = (tuple(each.turned for each in side) for side in (self.above, self.below))
        return replace(
            self, mean=-self.mean, low=-self.high, high=-self.low, d_z=-self.d_z, below=below, above=above,
            falls=tuple(-fall for fall in self.falls),
        )  # fmt: skip

    @property
    def widest(self) -> float:
        """The largest deviation of the comparisons that its limits come from: the one that asks for most pairs."""
        if self.below and self.above:
            return max(each.widest for each in (*self.below, *self.above))
        return self.tested[2]

    def limits(self, alpha: float) -> tuple[float, float]:
        r"""The lower and the upper limit, each of which is wrong with probability `alpha` at most:
        $\bar d \mp t_{n-1, 1-\alpha}\, s / \sqrt n$; infinite without a deviation.

        Equal differences have s = 0, and limits as narrow as that would make two seeds a proof. They are taken only
        where the sign-flip test would reject as well, at 2^-n <= alpha.
        """
        alpha = alpha * self.share
        if self.below and self.above:
            return min(each.limits(alpha)[0] for each in self.below), max(each.limits(alpha)[1] for each in self.above)
        n, mean, sd = self.tested
        if n < 2 or not math.isfinite(sd):
            return -math.inf, math.inf
        if sd == 0:
            half = 0.0 if 2.0**-n <= alpha else math.inf
        else:
            half = t_quantile(1 - alpha, n - 1) * sd / math.sqrt(n)
        return mean - half, mean + half

    def p_above(self, margin: float) -> float:
        """One-sided p of the hypothesis that the true difference is `margin` or less; nan without a deviation."""
        if self.below:
            return min(1.0, max(each.p_above(margin) for each in self.below) / self.share)
        return self._p(margin, 1.0)

    def p_below(self, margin: float) -> float:
        """One-sided p of the hypothesis that the true difference is `margin` or more."""
        if self.above:
            return min(1.0, max(each.p_below(margin) for each in self.above) / self.share)
        return self._p(margin, -1.0)

    def _p(self, margin: float, sign: float) -> float:
        n, mean, sd = self.tested
        if n < 2 or not math.isfinite(sd):
            return math.nan
        gap = sign * (mean - margin)
        if sd == 0:
            return min(1.0, 2.0**-n / self.share) if gap > 0 else 1.0
        from scipy.special import stdtr

        return min(1.0, float(stdtr(n - 1, -gap / (sd / math.sqrt(n)))) / self.share)

    @property
    def tested(self) -> tuple[int, float, float]:
        """n, mean and deviation with the falls."""
        if not self.falls or self.n < 2:
            return self.n, self.mean, self.sd
        n = self.n + len(self.falls)
        mean = (self.n * self.mean + sum(self.falls)) / n
        squares = (self.n - 1) * self.sd**2 + self.n * (self.mean - mean) ** 2
        squares += sum((fall - mean) ** 2 for fall in self.falls)
        return n, mean, math.sqrt(squares / (n - 1))


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95, exact: bool = True) -> Difference:
    """a - b, pair by pair.

    Where all differences are equal, t is not defined, and p is that of the sign-flip test, 2 / 2^n (1 if they
    are all zero): accuracies are whole numbers of test samples, so three equal differences are no proof.

    exact: whether the sign-flip test is wanted too, which takes longest.

    Raises ValueError unless both have one value for each seed.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need as many values on both sides, got {len(a)} and {len(b)}. Keep the shared seeds")
    x, y = [float(value) for value in a], [float(value) for value in b]
    d = [own - other for own, other in zip(x, y, strict=True)]
    if d and all(map(math.isfinite, d)):
        largest = max(map(abs, x))
        if max(d) - min(d) <= ROUNDING * max(largest, *map(abs, y)):
            d = [d[0] if abs(d[0]) > ROUNDING * largest else 0.0] * len(d)
    summary = mean_interval(d, level)
    n, mean, sd = summary.n, summary.mean, summary.sd
    if n < 2 or math.isnan(sd):
        return Difference(n, mean, sd, summary.low, summary.high, math.nan, math.nan, math.nan)
    if sd == 0:
        p = 1.0 if mean == 0 else 2.0 ** (1 - n)
        d_z = 0.0 if mean == 0 else math.copysign(math.inf, mean)
        return Difference(n, mean, sd, summary.low, summary.high, d_z, p, p)
    from scipy.special import stdtr

    p = float(2 * stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))
    p_sign_flip = _sign_flip(tuple(d)) if exact else math.nan
    return Difference(n, mean, sd, summary.low, summary.high, mean / sd, p, p_sign_flip)


@functools.lru_cache(maxsize=10_000)
def _sign_flip(differences: tuple[float, ...]) -> float:
    """A table, its verdicts and the page ask for the same ones."""
    return sign_flip(differences).p


def with_falls(difference: Difference, falls: Sequence[float]) -> Difference:
    """The difference with these falls, in all comparisons that its limits come from."""
    below, above = (tuple(with_falls(each, falls) for each in side) for side in (difference.below, difference.above))
    return replace(difference, below=below, above=above, falls=tuple(falls))

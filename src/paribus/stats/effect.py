"""Effect sizes: how large one is, and how large it must be to be seen. d_z itself is in `Difference`."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.stats.intervals import check_probability, t_quantile
from paribus.stats.proportions import clopper_pearson

MOST_PAIRS = 10**6


@dataclass(frozen=True)
class Improvement:
    """P(A > B) with the same seed, over n seeds, and an interval with coverage of at least its level."""

    n: int
    probability: float
    low: float
    high: float


def probability_of_improvement(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Improvement:
    r"""Share of the seeds with which a scores higher than b, a tie counting half: $P(A > B) + P(A = B) / 2$.

    The lower limit is that of Clopper and Pearson for the wins alone and the upper limit that for wins and ties, so
    that the interval is exact with ties as well. Agarwal et al. 2021 compare every seed of a with every seed of b;
    seeds are shared here, and pairs of one seed have the exact interval.

    a, b: (n,), one value for each shared seed, higher is better: pass losses negated. A diverged run is -inf.

    Raises ValueError unless both have one value for each seed, none is nan, and 0 < level < 1.

    Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape:
        raise ValueError(f"pairs need as many values on both sides, got {x.size} and {y.size}. Keep the shared seeds")
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("values to compare are numbers, got nan. Score a diverged run -inf or at chance")
    wins, ties = int((x > y).sum()), int((x == y).sum())
    probability = (wins + ties / 2) / x.size if x.size else math.nan
    low, high = clopper_pearson(wins, x.size, level).low, clopper_pearson(wins + ties, x.size, level).high
    return Improvement(x.size, probability, low, high)


def paired_power(d_z: float, n: int, alpha: float = 0.05) -> float:
    r"""Power of the two-sided paired t test for a true effect d_z = mean / sd of the differences.

    $1 - F(t; \nu, \delta) + F(-t; \nu, \delta)$, F the noncentral t distribution with $\nu = n - 1$ degrees of
    freedom and noncentrality $\delta = d_z \sqrt n$, t the central quantile at $1 - \alpha / 2$. Under Holm over m
    arms, alpha / m gives a lower bound.

    Raises ValueError unless n is at least 2 and 0 < alpha < 1.

    Source: Cohen 1988, chapter 2.
    """
    check_probability("alpha", alpha, 0.05)
    if n < 2:
        raise ValueError(f"a paired test needs at least 2 pairs, got {n}. Add seeds")
    t, shift = t_quantile(1 - alpha / 2, n - 1), abs(d_z) * math.sqrt(n)
    # F(-t; shift) = 1 - F(t; -shift): the library's lower tail is imprecise below zero in some versions.
    return (1 - _noncentral_t(t, n - 1, shift)) + (1 - _noncentral_t(t, n - 1, -shift))


def minimum_detectable_effect(sd: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true mean difference that the paired t test over n seeds finds with the given power.

    The root of `paired_power` in d_z, times sd; in the unit of sd.

    sd: of the paired differences. One estimated from few seeds is uncertain itself: 5 seeds leave a factor of 0.6
        to 2.9 (95 %).

    Raises ValueError unless sd is finite and not negative, n at least 2, and 0 < alpha < power < 1.
    """
    _check(sd, power, alpha)
    return sd * _detectable(n, power, alpha)


@functools.lru_cache
def _detectable(n: int, power: float, alpha: float) -> float:
    """The d_z at which the power is reached, to twelve digits, by bisection: importing scipy.optimize takes longer than
    a whole table."""
    low, high = 0.0, 1.0
    while paired_power(high, n, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if paired_power(middle, n, alpha) >= power else (middle, high)
    return (low + high) / 2


def required_pairs(effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest seeds with which the paired t test finds a true mean difference with the given power.

    effect, sd: mean and deviation of the paired differences, in one unit.

    Raises ValueError unless effect is finite and not zero, sd is finite and not negative, 0 < alpha < power < 1, and
    a million pairs are enough.
    """
    _check(sd, power, alpha)
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"an effect to be found is finite and not zero, got {effect}. Try the smallest of interest")
    if sd == 0:
        return 2
    d_z = effect / sd
    low, high = 1, 2  # too few, enough
    while paired_power(d_z, high, alpha) < power:
        low, high = high, 2 * high
        if high > MOST_PAIRS:
            raise ValueError(f"effect / sd needs at most {MOST_PAIRS} pairs, got {d_z:.2g}. Look for a larger effect")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if paired_power(d_z, middle, alpha) >= power else (middle, high)
    return high


def _noncentral_t(t: float, freedom: int, shift: float) -> float:
    """F(t; freedom, shift), t >= 0. Far in a tail the library returns nan at single points (scipy 1.17); a normal
    approximation (Abramowitz & Stegun 26.7.10) stands in there, where F is 0 or 1 to many digits."""
    from scipy.special import nctdtr, ndtr

    exact = float(nctdtr(freedom, shift, t))
    if not math.isnan(exact):
        return exact
    return float(ndtr((t * (1 - 1 / (4 * freedom)) - shift) / math.sqrt(1 + t * t / (2 * freedom))))


def _check(sd: float, power: float, alpha: float) -> None:
    if not (math.isfinite(sd) and sd >= 0):
        raise ValueError(f"a standard deviation is finite and not negative, got {sd}. It takes two pairs at least")
    check_probability("alpha", alpha, 0.05)
    if not alpha < power < 1:
        raise ValueError(f"power lies between alpha = {alpha} and 1, got {power}. Try 0.8")

r"""Probabilities that one arm is better than another, practically the same, or worse.

p values say how surprising the data would be without an effect, and never that there is none. These are probabilities
of the three answers themselves. An effect within ±d is practically none (the region of practical equivalence), d the
smallest effect of interest. They cost a prior, for which the usual weak ones are taken.

Sources: Benavoli, Corani, Demšar & Zaffalon 2017, "Time for a change: a tutorial for comparing multiple classifiers
through Bayesian analysis" (their programs are the package baycomp); Corani & Benavoli 2015, "A Bayesian approach for
comparing cross-validated algorithms on multiple data sets"; Benavoli et al. 2014, "A Bayesian Wilcoxon signed-rank
test based on the Dirichlet process".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from paribus.stats.paired import Difference

PRIOR = 0.5  # how many data sets the prior is worth, of a difference of zero
DRAWS = 50_000  # from the posterior: a probability is wrong by 0.002 (standard error) at most


@dataclass(frozen=True)
class Practical:
    """Probabilities that the difference is above d, within ±d, and below -d.

    They add up to 1, except of arms that were tuned, see `over_seeds`.
    """

    above: float
    same: float
    below: float

    @property
    def turned(self) -> Practical:
        """Of the difference with the other sign."""
        return Practical(self.below, self.same, self.above)


def over_seeds(difference: Difference, smallest: float) -> Practical:
    r"""The Bayesian t test of one data set. With the prior $1 / \sigma$ on mean and deviation, the posterior of the
    true difference is Student's t with n - 1 degrees of freedom, about $\bar d$ with the scale $s / \sqrt n$.

    Where each seed has a split of its own, the deviation of `difference` is widened for what splits have in common
    (`resampled.widened`), and this is the correlated t test. A collapse counts as it does in the limits. Where all n
    differences are equal, the posterior is not defined; the part that they lie in has $1 - 2^{-n}$, and each other one
    half of the rest.

    Of arms that were tuned the luck of tuning is nobody's evidence. An answer has the least probability that it has
    against any kept point of the rival (`tuned.tuned_difference`), and the three may add up to less than 1.

    smallest: d > 0, in the unit of the difference. nan without two finite pairs.
    """
    _check(smallest)
    if not (difference.below and difference.above):
        return _of_t(difference, smallest)
    below, above = ([_of_t(each, smallest) for each in side] for side in (difference.below, difference.above))
    up, down = _least(each.above for each in below), _least(each.below for each in above)
    return Practical(up, min(_least(each.same for each in (*below, *above)), max(0.0, 1 - up - down)), down)


def over_data_sets(differences: np.ndarray, smallest: float) -> Practical:
    r"""The Bayesian signed-rank test. The data sets are taken as drawn from an unknown distribution, whose prior is a
    Dirichlet process with the strength `PRIOR` at zero. In a draw from the posterior, the differences $z_i$ (of which
    $z_0 = 0$ is the prior's) have weights $w \sim \mathrm{Dirichlet}(\frac12, 1, \ldots, 1)$. For each answer, the
    weights $w_i w_j$ of the pairs are added whose mean $(z_i + z_j) / 2$ lies above d, within ±d, or below -d. The
    probability of an answer is the share of `DRAWS` draws in which it has the largest sum.

    Where data sets differ by much more than d, hardly any pair lies within ±d, and arms are not found to be the same,
    however small their difference is in the mean. A difference of one data set counts as it is, without its noise.

    differences: (n,), of one or more data sets, all finite. smallest: d > 0, in their unit. Raises ValueError.
    """
    _check(smallest)
    z = np.concatenate([[0.0], np.asarray(differences, dtype=float)])
    if len(z) < 2 or not np.isfinite(z).all():
        raise ValueError(f"a difference of each data set is needed, all finite, got {differences}")
    means = (z[:, None] + z) / 2
    weights = np.random.default_rng(0).standard_gamma([PRIOR, *np.ones(len(z) - 1)], size=(DRAWS, len(z)))
    weights /= weights.sum(1, keepdims=True)
    up, down = (((weights @ there) * weights).sum(1) for there in (means > smallest, means < -smallest))
    largest = np.argmax([1 - up - down, up, down], axis=0)
    same, above, below = (float((largest == answer).mean()) for answer in range(3))
    return Practical(above, same, below)


def _of_t(difference: Difference, smallest: float) -> Practical:
    n, mean, sd = difference.tested
    if n < 2 or not math.isfinite(sd):
        return Practical(math.nan, math.nan, math.nan)
    if sd == 0:
        rest = 2.0**-n
        above, same = (1 - rest if there else rest / 2 for there in (mean > smallest, abs(mean) <= smallest))
        return Practical(above, same, 1 - above - same)
    from scipy.special import stdtr

    scale = sd / math.sqrt(n)
    above, below = (float(stdtr(n - 1, (sign * mean - smallest) / scale)) for sign in (1, -1))
    return Practical(above, max(0.0, 1 - above - below), below)


def _least(probabilities: Iterable[float]) -> float:
    values = list(probabilities)
    return math.nan if any(map(math.isnan, values)) else min(values)


def _check(smallest: float) -> None:
    if not (math.isfinite(smallest) and smallest > 0):
        raise ValueError(f"the smallest effect of interest is a positive number, got {smallest}")

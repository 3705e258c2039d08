"""The verdict on a claim, from a difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from paribus.stats.intervals import check_probability, t_quantile
from paribus.stats.paired import Difference

Direction = Literal["greater", "less"]
Outcome = Literal["SUPPORTED", "REVERSED", "REFUTED", "INCONCLUSIVE"]
SMALLEST = 0.005  # effect of interest: half a point of an accuracy, which is recorded as a fraction


@dataclass(frozen=True)
class Bounds:
    """Two-sided limits [low, high] and the one-sided upper limit, all of a gain: a difference as claimed."""

    low: float
    high: float
    upper: float


@dataclass(frozen=True)
class Verdict:
    """An outcome and the numbers that it follows from.

    gain: mean difference over n pairs, positive in the claimed direction; low, high, upper: its bounds.
    p_holm: two-sided, adjusted over the arms. smallest: the smallest gain of interest.
    """

    outcome: Outcome
    n: int
    gain: float
    low: float
    high: float
    upper: float
    p_holm: float
    smallest: float


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on a claim over its regimes. regimes: those of each outcome, in the order given."""

    outcome: Outcome | Literal["CONDITIONAL"]
    regimes: dict[Outcome, tuple[str, ...]]


def verdict(
    difference: Difference,
    p_holm: float,
    smallest: float = SMALLEST,
    direction: Direction = "greater",
    level: float = 0.95,
    bounds_level: float | None = None,
) -> Verdict:
    """The rule of `decide`, with bounds at `level` and Holm's p compared with 1 - level.

    bounds_level: of the bounds where it is another, see `sequential.bounds_level`.

    difference: arm minus baseline; score diverged runs at chance first, for without a finite deviation the outcome
        is INCONCLUSIVE.
    p_holm: its p, adjusted by `multiple.holm` over all arms of the table.
    smallest: effect of interest, in the unit of the difference; the default is half a point of a fraction.
    direction: of the claim: the difference is greater or less than zero.

    Raises ValueError unless smallest is positive, direction is one of the two, and 0 < level < 1.
    """
    check_probability("level", level, 0.95)
    bounds = gain_bounds(difference, direction, 1 - (bounds_level or level))
    gain = sign_of(direction) * difference.mean
    outcome = decide(p_holm <= 1 - level and gain > 0, bounds, smallest)
    return Verdict(outcome, difference.n, gain, bounds.low, bounds.high, bounds.upper, p_holm, smallest)


def decide(significant: bool, bounds: Bounds, smallest: float) -> Outcome:
    """SUPPORTED if the gain is significant and may be as large as `smallest`: upper >= smallest;
    REVERSED if the interval lies on the other side: high < 0;
    REFUTED if the gain, whatever its sign, is too small to matter: upper < smallest;
    INCONCLUSIVE else: more seeds are needed.

    significant: after adjustment over all arms, in the claimed direction.

    Each error has its own control. A gain that is none is SUPPORTED in no arm of a table, but with probability
    1 - level (Holm). REVERSED and REFUTED are each arm's own: a gain that is none is REVERSED with probability
    (1 - level) / 2, one of size `smallest` REFUTED with probability 1 - level, in every arm anew.

    Raises ValueError unless smallest is positive.
    """
    if not smallest > 0:
        raise ValueError(f"the smallest effect of interest is positive, got {smallest}. Try {SMALLEST}")
    if significant and bounds.upper >= smallest:
        return "SUPPORTED"
    if bounds.high < 0:
        return "REVERSED"
    return "REFUTED" if bounds.upper < smallest else "INCONCLUSIVE"


def gain_bounds(difference: Difference, direction: Direction, alpha: float) -> Bounds:
    r"""$g \pm t_{n-1, 1-\alpha/2}\, s/\sqrt n$ and $g + t_{n-1, 1-\alpha}\, s/\sqrt n$; infinite without a deviation.

    Equal differences have s = 0, and bounds as narrow as that would make two seeds a proof. They are taken only
    where the sign-flip test would reject as well, at 2 / 2^n <= alpha for two sides and 1 / 2^n <= alpha for one.
    """
    gain, n = sign_of(direction) * difference.mean, difference.n
    if n < 2 or not math.isfinite(difference.sd):
        return Bounds(-math.inf, math.inf, math.inf)
    if difference.sd == 0:
        two = 0.0 if 2.0 ** (1 - n) <= alpha else math.inf
        return Bounds(gain - two, gain + two, gain + (0.0 if 2.0**-n <= alpha else math.inf))
    error = difference.sd / math.sqrt(n)
    two = t_quantile(1 - alpha / 2, n - 1) * error
    return Bounds(gain - two, gain + two, gain + t_quantile(1 - alpha, n - 1) * error)


def sign_of(direction: Direction) -> float:
    """Raises ValueError for a direction that is neither."""
    if direction not in get_args(Direction):
        raise ValueError(f"a claim's direction is greater or less, got {direction!r}. Losses fall: less")
    return 1.0 if direction == "greater" else -1.0


def over_regimes(outcomes: Mapping[str, Outcome]) -> ClaimVerdict:
    """One verdict for a claim: the outcome that all regimes share, CONDITIONAL if two that are settled differ.

    A regime that is INCONCLUSIVE contradicts none: the difference between significant and not significant is not
    itself significant (Gelman & Stern 2006). While one is open and the others agree, the claim is INCONCLUSIVE.

    outcomes: of each regime, by its name.

    Raises ValueError without a regime.
    """
    if not outcomes:
        raise ValueError("a claim is settled in at least one regime, got none. Pass the outcome of each regime")
    regimes = {kind: tuple(name for name, o in outcomes.items() if o == kind) for kind in get_args(Outcome)}
    present: list[Outcome] = [kind for kind, names in regimes.items() if names]
    settled = [kind for kind in present if kind != "INCONCLUSIVE"]
    groups = {kind: regimes[kind] for kind in present}
    if len(settled) > 1:
        return ClaimVerdict("CONDITIONAL", groups)
    return ClaimVerdict(present[0] if len(present) == 1 else "INCONCLUSIVE", groups)

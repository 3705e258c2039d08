r"""Verdicts on the claims of an ablation, all from one family of intervals.

A claim says that a gain is positive. d is the smallest gain of interest. The interval of the gain decides, in this
order: SUPPORTED if its lower bound is at least d; NEGLIGIBLE if both bounds lie within ±d, which is the test of
equivalence by two one-sided tests (Schuirmann 1987); REVERSED if its upper bound is below zero; POSITIVE if its lower
bound is above zero; INCONCLUSIVE else.

**One level for all.** Each of the m intervals has two ends, and each end is wrong with probability $\alpha / k$ at
most. At first k = 2m. An end that has nothing left to show is taken out of k, as in Holm 1979: the lower end of a gain
that reaches d, the upper end of one that is reversed. With the larger share $\alpha / k$ further ends may follow, until
none does. What an end shows is nested: gain > -d, > 0, >= d, each step including the one before. So an end makes its
first mistake only where it rejects its first true hypothesis. While no mistake has been made, every end that could make
one is still counted in k. Hence the probability of any wrong verdict among all claims is $\alpha$ at most, under every
dependence between them.

k is never less than two, so that each interval for itself covers the truth with probability $1 - \alpha$ at least.

A comparison that no claim is about asks only whether there is a difference. It counts as two ends, and both are taken
out when it is found. For a family of nothing else this is Holm's adjustment of the two-sided p values.

**Sequential seeds.** Look by look, each claim that is open is judged at its next look, with the share of the error that
this look may spend. A verdict that is settled stays as it is, with the numbers that settled it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from paribus.stats.intervals import check_probability
from paribus.stats.paired import Difference, paired_difference

Direction = Literal["greater", "less"]
Outcome = Literal["SUPPORTED", "NEGLIGIBLE", "REVERSED", "POSITIVE", "INCONCLUSIVE"]
SMALLEST = 0.005  # effect of interest: half a point of an accuracy, which is recorded as a fraction

# A sentence for each word, to be printed wherever the word is. Bounds are those of the gain: of the difference, counted
# in the direction that is claimed.
MEANING: Mapping[str, str] = {
    "SUPPORTED": "the lower bound of the gain is at least d, the smallest effect of interest",
    "NEGLIGIBLE": "both bounds lie within ±d, so the effect is too small to matter; its sign is given if it is known",
    "REVERSED": "the upper bound is below zero, so the opposite of the claim is true",
    "POSITIVE": "the lower bound is above zero but below d, so the gain is real and may be too small to matter",
    "INCONCLUSIVE": "the bounds exclude neither zero nor an effect that matters",
}


@dataclass(frozen=True)
class Question:
    """A comparison of a family: arm minus versus at each look that is over, the last of all data.

    direction: of the claim. smallest: effect of interest, in the unit of the difference; None where no claim is made,
    and only a difference is looked for.
    """

    stages: Sequence[Difference]
    direction: Direction = "greater"
    smallest: float | None = None


@dataclass(frozen=True)
class Verdict:
    """An outcome and the numbers that it follows from.

    gain: mean difference over n pairs, positive in the claimed direction; low, high: the bounds that decided, each
        wrong with probability `alpha` at most.
    p: of what the outcome denies: SUPPORTED, that the gain is below d; NEGLIGIBLE, that it is ±d or larger (the larger
        one of two); else, that it is zero. Adjusted over the family, so that the outcome needs p <= 1 - level.
    p_alone: the same without the family.
    p_zero: of a gain of zero, two-sided and adjusted. smallest: d.
    """

    outcome: Outcome
    n: int
    gain: float
    low: float
    high: float
    p: float
    p_alone: float
    p_zero: float
    smallest: float
    alpha: float

    @property
    def sign(self) -> str:
        """+ or − where the interval excludes zero, else nothing."""
        return "+" if self.low > 0 else "−" if self.high < 0 else ""

    @property
    def word(self) -> str:
        """The outcome, and its sign if it is negligible: NEGLIGIBLE (−)."""
        return f"{self.outcome} ({self.sign})" if self.outcome == "NEGLIGIBLE" and self.sign else self.outcome


@dataclass(frozen=True)
class Judged:
    """A question's verdict, and the difference that it is about, with the bounds and the sign-flip p of its look."""

    difference: Difference
    verdict: Verdict


def decide(low: float, high: float, smallest: float) -> Outcome:
    """The outcome of a gain with these bounds.

    Raises ValueError unless smallest is positive.
    """
    if not smallest > 0:
        raise ValueError(f"the smallest effect of interest is positive, got {smallest}. Try {SMALLEST}")
    if low >= smallest:
        return "SUPPORTED"
    if -smallest < low and high < smallest:
        return "NEGLIGIBLE"
    if high < 0:
        return "REVERSED"
    return "POSITIVE" if low > 0 else "INCONCLUSIVE"


def judge(questions: Sequence[Question], level: float = 0.95) -> list[Judged]:
    """The verdicts on all questions of a family, in their order. Without a claim, the outcome is that of d = 0: never
    SUPPORTED or NEGLIGIBLE.

    Raises ValueError unless each smallest effect is positive, each direction is one of the two, and 0 < level < 1.
    """
    check_probability("level", level, 0.95)
    for each in questions:
        sign_of(each.direction)
        if each.smallest is not None:
            decide(0.0, 0.0, each.smallest)
    ends = 2 * len(questions)
    found: dict[int, Judged] = {}
    settled: set[int] = set()
    for look in range(max((len(each.stages) for each in questions), default=0)):
        tests = {
            k: _Tests(each, each.stages[min(look, len(each.stages) - 1)])
            for k, each in enumerate(questions)
            if k not in settled and each.stages
        }
        steps = _Steps(ends, [end for each in tests.values() for end in each.ends()])
        ends = steps.left(1 - level)
        for k, test in tests.items():
            found[k] = test.judged(steps, (1 - level) / ends)
            if found[k].verdict.outcome != "INCONCLUSIVE":
                settled.add(k)
    return [found.get(k) or _nothing(each) for k, each in enumerate(questions)]


class _Steps:
    """Holm's steps. ends: how many are counted at first, and two at the least. tests: (p, how many ends a rejection
    takes out)."""

    def __init__(self, ends: int, tests: Sequence[tuple[float, int]]):
        self.levels, self.counts = [0.0], [ends]
        for p, weight in sorted(each for each in tests if not math.isnan(each[0])):
            self.levels.append(max(self.levels[-1], self.counts[-1] * p))
            self.counts.append(max(2, self.counts[-1] - weight))

    def left(self, alpha: float) -> int:
        """How many ends are still counted at this error."""
        return self.counts[bisect.bisect_right(self.levels, alpha) - 1]

    def adjusted(self, p: float) -> float:
        """The smallest error at which a one-sided p is small enough."""
        if math.isnan(p):
            return math.nan
        # Levels rise and counts fall, so the smallest of max(level, count * p) is where the two cross.
        steps = range(len(self.levels))
        cross = bisect.bisect_left(steps, True, key=lambda step: self.levels[step] >= self.counts[step] * p)
        above = self.levels[cross : cross + 1]
        below = [count * p for count in self.counts[max(0, cross - 1) : cross]]
        return min(1.0, *above, *below)


class _Tests:
    """One-sided p values and limits of the gain at one look."""

    def __init__(self, question: Question, difference: Difference):
        self.difference, self.smallest, self.greater = difference, question.smallest, question.direction == "greater"

    def above(self, margin: float) -> float:
        return self.difference.p_above(margin) if self.greater else self.difference.p_below(-margin)

    def below(self, margin: float) -> float:
        return self.difference.p_below(margin) if self.greater else self.difference.p_above(-margin)

    def ends(self) -> list[tuple[float, int]]:
        """The p values that take ends out of the count."""
        if self.smallest is None:
            return [(min(self.above(0.0), self.below(0.0)), 2)]
        return [(self.above(self.smallest), 1), (self.below(0.0), 1)]

    def judged(self, steps: _Steps, alpha: float) -> Judged:
        d = self.difference
        low, high = d.limits(alpha)
        gain, ours, theirs = (d.mean, low, high) if self.greater else (-d.mean, -high, -low)
        zero = min(self.above(0.0), self.below(0.0))
        p = zero
        if self.smallest is None:
            outcome: Outcome = "POSITIVE" if ours > 0 else "REVERSED" if theirs < 0 else "INCONCLUSIVE"
        else:
            outcome = decide(ours, theirs, self.smallest)
            if outcome == "SUPPORTED":
                p = self.above(self.smallest)
            elif outcome == "NEGLIGIBLE":
                p = max(self.above(-self.smallest), self.below(self.smallest))
        verdict = Verdict(
            outcome, d.n, gain, ours, theirs, steps.adjusted(p), min(1.0, 2 * p), steps.adjusted(zero),
            self.smallest or 0.0, alpha * d.share,
        )  # fmt: skip
        shown = replace(d, low=low, high=high, p=min(1.0, d.p / d.share), p_sign_flip=min(1.0, d.p_sign_flip / d.share))
        return Judged(shown, verdict)


def _nothing(question: Question) -> Judged:
    nan, inf = math.nan, math.inf
    nothing = Verdict("INCONCLUSIVE", 0, nan, -inf, inf, nan, nan, nan, question.smallest or 0.0, nan)
    return Judged(paired_difference([], []), nothing)


def sign_of(direction: Direction) -> float:
    """Raises ValueError for a direction that is neither."""
    if direction not in get_args(Direction):
        raise ValueError(f"a claim's direction is greater or less, got {direction!r}. Losses fall: less")
    return 1.0 if direction == "greater" else -1.0

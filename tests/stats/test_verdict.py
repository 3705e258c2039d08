"""The family of verdicts: its rule, Holm's steps against a step-down written out, and verdicts that stay settled."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from paribus.stats.multiple import holm
from paribus.stats.paired import paired_difference
from paribus.stats.sequential import Looks, paired_stages
from paribus.stats.verdict import MEANING, Question, _Steps, decide, judge

D = 0.005


def difference(values):
    return paired_difference(values, np.zeros(len(values)))


def judged(values, direction="greater", smallest=D):
    [found] = judge([Question([difference(values)], direction, smallest)])
    return found.verdict


def test_bounds_are_those_of_scipy():
    d = np.random.default_rng(0).normal(0.01, 0.01, 8)
    two = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    found = judged(d)
    assert (found.low, found.high, found.gain) == pytest.approx((two.low, two.high, d.mean()))
    less = judged(d, "less")
    assert (less.low, less.high, less.gain) == pytest.approx((-two.high, -two.low, -d.mean()))


def test_the_five_outcomes():
    noise = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / 1000
    assert judged(0.02 + noise).outcome == "SUPPORTED"
    assert judged(-0.02 + noise).outcome == "REVERSED"
    assert judged(0.02 + noise, "less").outcome == "REVERSED"
    assert judged(0.006 + 2 * noise).outcome == "POSITIVE"
    assert judged(0.004 + 10 * noise).outcome == "INCONCLUSIVE"
    assert [judged(shift + noise).word for shift in (0.002, 0.0, -0.002)] == [
        "NEGLIGIBLE (+)", "NEGLIGIBLE", "NEGLIGIBLE (−)",
    ]  # fmt: skip
    assert set(MEANING) == {"SUPPORTED", "NEGLIGIBLE", "REVERSED", "POSITIVE", "INCONCLUSIVE"}


def test_the_rule_settles_every_case_in_its_order():
    ends = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
    for low, high in itertools.combinations_with_replacement(ends, 2):
        expected = (
            "SUPPORTED" if low >= 1
            else "NEGLIGIBLE" if low > -1 and high < 1
            else "REVERSED" if high < 0
            else "POSITIVE" if low > 0
            else "INCONCLUSIVE"
        )  # fmt: skip
        assert decide(low, high, 1.0) == expected


def questions(seed, claims=5, plain=3, n=8):
    """Claims and plain comparisons whose truth lies on every side of 0 and d, in units of their deviation."""
    r = np.random.default_rng(seed)
    made = []
    for k in range(claims + plain):
        d = difference(r.normal(r.choice([-3, -1.5, 0, 0.7, 1.5, 3, 6]), 1.0, n))
        made.append(Question([d], *(("greater", "less")[k % 2], 1.0) if k < claims else ("greater", None)))
    return made


def step_down(family, alpha=0.05):
    """The procedure of the module's docstring, one rejection at a time: how many ends are left."""
    left, ends = 2 * len(family), []
    for each in family:
        [d] = each.stages
        t = lambda margin, d=d: (d.mean - margin) / (d.sd / math.sqrt(d.n))  # noqa: E731
        above, below = (lambda m, t=t, d=d: stats.t.sf(t(m), d.n - 1)), (lambda m, t=t, d=d: stats.t.cdf(t(m), d.n - 1))
        if each.smallest is None:
            ends.append((min(above(0), below(0)), 2))
        elif each.direction == "greater":
            ends += [(above(each.smallest), 1), (below(0), 1)]
        else:
            ends += [(below(-each.smallest), 1), (above(0), 1)]
    while True:
        rejected = [end for end in ends if end[0] <= alpha / left]
        if not rejected:
            return left
        ends.remove(min(rejected))
        left = max(2, left - min(rejected)[1])


@pytest.mark.parametrize("seed", range(30))
def test_all_bounds_have_the_level_of_the_step_down_and_p_says_the_same_as_the_bounds(seed):
    family = questions(seed)
    left = step_down(family)
    for each, found in zip(family, judge(family), strict=True):
        [d], v = each.stages, found.verdict
        half = stats.t.isf(0.05 / left, d.n - 1) * d.sd / math.sqrt(d.n)
        assert (found.difference.low, found.difference.high) == pytest.approx((d.mean - half, d.mean + half))
        assert v.alpha == pytest.approx(0.05 / left)
        assert (v.p_zero <= 0.05) == (v.low > 0 or v.high < 0)
        if v.outcome != "INCONCLUSIVE":
            assert v.p <= 0.05
        if each.smallest is not None:
            assert v.outcome == decide(v.low, v.high, each.smallest)
        # p is the smallest error at which the outcome is the same
        for factor, same in ((1.0001, True), (0.9999, False)):
            if v.outcome != "INCONCLUSIVE" and v.p * factor < 0.05:
                [other] = [o for q, o in zip(family, judge(family, 1 - v.p * factor), strict=True) if q is each]
                assert (other.verdict.outcome == v.outcome) == same


@pytest.mark.parametrize("seed", range(30))
def test_p_is_the_least_over_all_steps(seed):
    r = np.random.default_rng(seed)
    m = int(r.integers(0, 12))
    p = np.where(r.random(m) < 0.2, r.choice([0.0, 1.0, math.nan], m), r.random(m) ** 4)
    steps = _Steps(2 * m, [(float(each), int(r.integers(1, 3))) for each in p])
    for each in [*p[~np.isnan(p)], *r.random(20) ** 3, 0.0, 1.0]:
        plain = [max(level, count * each) for level, count in zip(steps.levels, steps.counts, strict=True)]
        assert steps.adjusted(float(each)) == min(1.0, *plain)
    assert math.isnan(steps.adjusted(math.nan))


def test_without_claims_it_is_holm_of_the_two_sided_p_values():
    family = questions(1, claims=0, plain=9)
    expected = holm([stats.ttest_1samp(values, 0).pvalue for values in _raw(1, 9)])
    assert [each.verdict.p_zero for each in judge(family)] == pytest.approx(expected)


def _raw(seed, count, n=8):
    r = np.random.default_rng(seed)
    return [r.normal(r.choice([-3, -1.5, 0, 0.7, 1.5, 3, 6]), 1.0, n) for _ in range(count)]


def test_a_claim_alone_has_the_two_sided_p_of_scipy():
    [values] = _raw(4, 1)
    found = judged(values, smallest=1.0)
    assert found.p_zero == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    low = stats.ttest_1samp(values, 1.0, alternative="greater").pvalue
    high = stats.ttest_1samp(values, -1.0, alternative="greater").pvalue
    few = judged(np.linspace(-0.3, 0.3, 8), smallest=1.0)
    two = max(
        stats.ttest_1samp(np.linspace(-0.3, 0.3, 8), -1, alternative="greater").pvalue,
        stats.ttest_1samp(np.linspace(-0.3, 0.3, 8), 1, alternative="less").pvalue,
    )
    assert (few.outcome, few.p) == ("NEGLIGIBLE", pytest.approx(2 * two))  # TOST
    sure = judged(values + 10, smallest=1.0)
    assert (sure.outcome, sure.p) == (
        "SUPPORTED", pytest.approx(2 * stats.ttest_1samp(values + 10, 1.0, alternative="greater").pvalue),
    )  # fmt: skip
    assert low > high  # the two margins are on the sides that they are meant to be


def test_more_comparisons_decide_less():
    d = difference(np.array([0.015, 0.021, 0.02, 0.026]))
    noise = [Question([difference(np.random.default_rng(k).normal(0, 0.01, 4))], smallest=D) for k in range(40)]
    assert judge([Question([d], smallest=D)])[0].verdict.outcome == "SUPPORTED"
    assert judge([Question([d], smallest=D), *noise])[0].verdict.outcome == "INCONCLUSIVE"


def test_equal_differences_are_a_proof_only_in_numbers():
    assert [judged([0.01] * n).outcome for n in (2, 4, 5, 6)] == ["INCONCLUSIVE"] * 3 + ["SUPPORTED"]
    assert judged([0.001] * 6).word == "NEGLIGIBLE (+)"
    assert difference([0.01] * 5).limits(0.025) == (-math.inf, math.inf)
    assert difference([0.01] * 5).limits(0.05) == pytest.approx((0.01, 0.01))


def test_few_or_diverged_runs_are_inconclusive():
    assert judged([0.02]).outcome == "INCONCLUSIVE"
    assert judged([0.02, math.inf, 0.03]).outcome == "INCONCLUSIVE"
    [nothing] = judge([Question([], smallest=D)])
    assert (nothing.verdict.outcome, nothing.difference.n) == ("INCONCLUSIVE", 0)
    assert judge([]) == []


def test_bounds_are_of_the_look_that_is_over_and_pay_its_share():
    """Unequal looks: the first of (10, 90) may spend a ninth of the error, not the last look's share."""
    looks = Looks((10, 90))
    d = np.random.default_rng(3).normal(0.0, 1.0, 90)
    for n, size, share in ((10, 10, 10 / 90), (89, 10, 10 / 90), (90, 90, 80 / 90)):
        [found] = judge([Question(paired_stages(d[:n], np.zeros(n), looks), smallest=0.01)])
        interval = stats.ttest_1samp(d[:size], 0).confidence_interval(1 - 0.05 * share)
        assert (found.verdict.n, found.verdict.low, found.verdict.high) == pytest.approx(
            (size, interval.low, interval.high)
        )
        p = stats.ttest_1samp(d[:size], 0).pvalue
        assert found.verdict.p == found.difference.p == pytest.approx(min(1, p / share))
    assert found.difference.p_sign_flip == pytest.approx(p * 90 / 80, rel=0.1)  # of 90 pairs, not of the first ten


def test_a_settled_verdict_never_changes():
    looks = Looks((5, 10, 20))
    for seed in range(60):
        r = np.random.default_rng(seed)
        truth = r.choice([-0.5, 0.0, 0.3, 0.6, 1.0], 6)
        d = r.normal(truth[:, None], 0.4, (6, 20))
        before = None
        for n in (5, 10, 20):
            family = [Question(paired_stages(x[:n], np.zeros(n), looks), smallest=0.5) for x in d]
            now = judge(family)
            for old, new in zip(before or now, now, strict=True):
                if old.verdict.outcome != "INCONCLUSIVE":
                    assert new == old
            before = now


def test_an_arm_that_stopped_early_keeps_its_look():
    looks = Looks((5, 10))
    r = np.random.default_rng(0)
    short = paired_stages(r.normal(0, 1, 5), np.zeros(5), looks)
    long = paired_stages(r.normal(0, 1, 10), np.zeros(10), looks)
    a, b = judge([Question(short, smallest=0.1), Question(long, smallest=0.1)])
    assert (a.verdict.n, b.verdict.n) == (5, 10)


def test_comparisons_with_every_kept_point_give_the_bounds():
    """Of tuned arms: the least lower limit, the largest upper one, and the larger p of each side."""
    first, second = difference([0.1, 0.2, 0.3, 0.35]), difference([0.2, 0.25, 0.3, 0.2])
    both = replace(first, below=(first, second), above=(first,))
    low, high = both.limits(0.01)
    assert low == min(first.limits(0.01)[0], second.limits(0.01)[0])
    assert high == first.limits(0.01)[1]
    assert both.p_above(0.0) == max(first.p_above(0.0), second.p_above(0.0))
    assert both.p_below(0.0) == first.p_below(0.0)
    assert both.turned.limits(0.01) == (-high, -low)


def test_mistakes():
    d = paired_difference([1.0, 2.0], [0.0, 0.0])
    for wrong, message in (
        (lambda: judge([Question([d], smallest=0.0)]), "positive, got 0.0"),
        (lambda: judge([Question([d], "more")]), "greater or less, got 'more'"),
        (lambda: judge([Question([d])], level=95), "level"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()

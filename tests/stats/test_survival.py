"""Times to targets against scipy's survival functions, sums over all exchanges of pairs, and closed forms."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy import stats

from paribus.stats.intervals import mean_interval
from paribus.stats.proportions import clopper_pearson
from paribus.stats.survival import kaplan_meier, logrank_scores, median, paired_logrank, restricted_mean

INF = math.inf


def censored(seed, n=12, ties=True):
    """Times of which some are censored, at different times."""
    r = np.random.default_rng([seed, n])
    t, c = r.exponential(10, n), r.exponential(15, n)
    t, c = (np.ceil(t), np.ceil(c)) if ties else (t, c)
    return np.minimum(t, c), t <= c


def scipys(times, reached):
    return stats.CensoredData(uncensored=times[reached], right=times[~reached])


def band_of(curve):
    """scipy warns where the band is not defined."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return curve.confidence_interval(method="log-log")


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_curve_and_band_are_those_of_scipy(seed, ties):
    times, reached = censored(seed, ties=ties)
    found = kaplan_meier(times.tolist(), reached.tolist())
    theirs = stats.ecdf(scipys(times, reached)).sf
    band = band_of(theirs)
    at = np.array(found.times)
    np.testing.assert_allclose(found.share, theirs.evaluate(at), atol=1e-12)
    inside = np.array(found.share) > 1e-12
    for ours, side in ((found.low, band.low), (found.high, band.high)):
        np.testing.assert_allclose(np.array(ours)[inside], side.evaluate(at)[inside], atol=1e-10)


def test_where_the_band_is_not_defined_it_is_that_of_clopper_and_pearson():
    found = kaplan_meier([1.0, 2.0, 2.0, 3.0], [True] * 4)
    assert found.before == (pytest.approx(clopper_pearson(4, 4).low), 1.0)
    assert (found.share[-1], found.low[-1]) == (0.0, 0.0)
    assert found.high[-1] == pytest.approx(clopper_pearson(0, 4).high)
    assert kaplan_meier([], []).before == (0.0, 1.0)


def test_a_run_that_never_gets_there_stays_in_the_count():
    """Censored where it diverged, it would be forgotten."""
    never = kaplan_meier([1.0, 2.0, 3.0, INF], [True, True, True, False])
    assert never.share == pytest.approx((0.75, 0.5, 0.25))
    forgotten = kaplan_meier([1.0, 2.0, 3.0, 0.5], [True, True, True, False])
    assert forgotten.share == pytest.approx((2 / 3, 1 / 3, 0.0))


def test_the_median_and_its_interval_are_where_the_curve_and_its_band_cross_a_half():
    times, reached = censored(3, n=40, ties=False)
    curve = kaplan_meier(times.tolist(), reached.tolist())
    found = median(curve)
    theirs = stats.ecdf(scipys(times, reached)).sf
    band = band_of(theirs)
    for ours, side in zip((found.time, found.low, found.high), (theirs, band.low, band.high), strict=True):
        with np.errstate(invalid="ignore"):
            below = np.sort(times)[side.evaluate(np.sort(times)) <= 0.5]
        assert ours == (below[0] if len(below) else INF)
    assert found.low < found.time < found.high


def test_a_median_that_half_of_the_runs_do_not_reach_is_infinite():
    assert median(kaplan_meier([1.0, 9.0, 9.0], [True, False, False])).time == INF
    assert median(kaplan_meier([1.0, 2.0], [True, True])).time == 1.0
    assert median(kaplan_meier([1.0, 2.0, 9.0, 9.0], [True, True, False, False])).high == INF


@pytest.mark.parametrize("seed", range(10))
def test_the_restricted_mean_is_the_area_under_the_curve(seed):
    times, reached = censored(seed)
    horizon = float(np.quantile(times, 0.7))
    found = restricted_mean(times.tolist(), reached.tolist(), horizon)
    grid = np.linspace(0, horizon, 200_001)[:-1] + horizon / 400_002
    area = stats.ecdf(scipys(times, reached)).sf.evaluate(grid).mean() * horizon
    assert found.mean == pytest.approx(area, rel=1e-4)
    assert 0 <= found.low <= found.mean <= found.high <= horizon


@pytest.mark.parametrize("seed", range(5))
def test_of_runs_that_all_get_there_it_is_a_mean_with_students_interval(seed):
    times = np.random.default_rng(seed).integers(1, 20, 9).astype(float)
    found = restricted_mean(times.tolist(), [True] * 9, 30.0)
    plain = mean_interval(times.tolist())
    assert (found.mean, found.low, found.high) == pytest.approx((plain.mean, plain.low, plain.high))


def test_greenwoods_variance_with_censoring_before_the_horizon():
    """One run is censored between two that get there: S = 3/4 up to 4, then 3/4 * 1/2."""
    times, reached, horizon = [2.0, 3.0, 4.0, 6.0], [True, False, True, True], 5.0
    found = restricted_mean(times, reached, horizon)
    assert found.mean == pytest.approx(2 + 0.75 * 2 + 0.375 * 1)
    behind = [0.75 * 2 + 0.375, 0.375]
    variance = behind[0] ** 2 * 1 / (4 * 3) + behind[1] ** 2 * 1 / (2 * 1)
    half = stats.t.ppf(0.975, 3) * math.sqrt(variance * 4 / 3)
    every = restricted_mean([*times], [True, True, True, True], horizon)
    assert found.high == pytest.approx(min(horizon, found.mean + half))
    assert found.low <= found.mean - half < found.mean < every.high


def test_limits_count_one_run_more_where_some_do_not_get_there():
    times, reached = [4.0, 5.0, 9.0, 9.0], [True, True, False, False]
    found = restricted_mean(times, reached, 8.0)
    late, soon, own = (mean_interval(x) for x in ([4, 5, 8, 8, 8], [0, 4, 5, 8, 8], [4, 5, 8, 8]))
    assert found.mean == 6.25
    assert found.low == pytest.approx(min(soon.low, own.low))
    assert found.high == pytest.approx(min(8.0, max(late.high, own.high)))
    none = restricted_mean([9.0] * 4, [False] * 4, 8.0)
    at_once = mean_interval([0, 8, 8, 8, 8])
    assert (none.mean, none.low, none.high) == (8.0, pytest.approx(at_once.low), 8.0)


def test_the_lower_limit_counts_from_the_validation_before():
    times, since = [4.0, 6.0, 6.0, 8.0], [2.0, 4.0, 4.0, 0.0]
    found = restricted_mean(times, [True] * 4, 10.0, since=since)
    assert (found.mean, found.low) == (6.0, pytest.approx(max(0.0, mean_interval(since).low)))
    assert found.high == pytest.approx(mean_interval(times).high)
    equal = restricted_mean([6.0] * 4, [True] * 4, 10.0, since=[4.0] * 4)
    assert (equal.low, equal.high) == (4.0, 6.0)


def test_without_runs_or_with_one_there_is_no_interval():
    assert math.isnan(restricted_mean([], [], 5.0).mean)
    one = restricted_mean([3.0], [True], 5.0)
    assert one.mean == 3.0
    assert math.isnan(one.low)


@pytest.mark.parametrize("seed", range(20))
def test_scores_of_an_arm_sum_to_observed_minus_expected(seed):
    """The numerator of the log-rank test; scipy gives it divided by its standard deviation."""
    (ta, ra), (tb, rb) = censored(seed), censored(seed + 100, n=9)
    excess = logrank_scores([*ta, *tb], [*ra, *rb])[: len(ta)].sum()
    variance = 0.0
    for at in np.unique(np.concatenate([ta[ra], tb[rb]])):
        d = (ta[ra] == at).sum() + (tb[rb] == at).sum()
        own, all_ = (ta >= at).sum(), (ta >= at).sum() + (tb >= at).sum()
        variance += d * own / all_ * (1 - own / all_) * (all_ - d) / max(all_ - 1, 1)
    z = stats.logrank(scipys(ta, ra), scipys(tb, rb)).statistic
    assert excess / math.sqrt(variance) == pytest.approx(z, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_p_counts_every_exchange_of_the_runs_of_a_seed(seed):
    (ta, ra), (tb, rb) = censored(seed, n=7), censored(seed + 50, n=7)

    def excess(swapped):
        a = [(tb if s else ta)[k] for k, s in enumerate(swapped)], [(rb if s else ra)[k] for k, s in enumerate(swapped)]
        b = [(ta if s else tb)[k] for k, s in enumerate(swapped)], [(ra if s else rb)[k] for k, s in enumerate(swapped)]
        return logrank_scores([*a[0], *b[0]], [*a[1], *b[1]])[:7].sum()

    every = np.array([excess(each) for each in itertools.product((False, True), repeat=7)])
    found = paired_logrank(ta.tolist(), tb.tolist(), ra.tolist(), rb.tolist())
    assert found.excess == pytest.approx(every[0])
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(every[0]) - 1e-9))
    if found.excess > 0:
        assert found.p_faster == pytest.approx(np.mean(every >= every[0] - 1e-9))
    turned = paired_logrank(tb.tolist(), ta.tolist(), rb.tolist(), ra.tolist())
    assert (turned.p, turned.excess) == (pytest.approx(found.p), pytest.approx(-found.excess))


def test_many_pairs_agree_with_scipys_test():
    """Without common luck, the pairs say nothing."""
    (ta, ra), (tb, rb) = censored(1, n=200, ties=False), censored(2, n=200, ties=False)
    tb = tb * 0.8
    ours = paired_logrank(ta.tolist(), tb.tolist(), ra.tolist(), rb.tolist()).p
    assert ours == pytest.approx(stats.logrank(scipys(ta, ra), scipys(tb, rb)).pvalue, abs=0.03)


def test_the_faster_arm_has_the_small_one_sided_p():
    fast, slow = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [10.0, 11.0, 12.0, INF, INF, 12.0]
    reached = [True, True, True, False, False, True]
    found = paired_logrank(fast, slow, [True] * 6, reached)
    assert (found.p, found.p_faster) == (2 / 2**6, 1 / 2**6)
    assert paired_logrank(slow, fast, reached, [True] * 6).p_faster == 1 - 1 / 2**6
    assert paired_logrank(fast, fast, [True] * 6, [True] * 6).p == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kaplan_meier([1.0], []), "needs a flag"),
        (lambda: kaplan_meier([0.0], [True]), "times are positive, got 0"),
        (lambda: kaplan_meier([math.nan], [False]), "times are positive, got nan"),
        (lambda: kaplan_meier([INF], [True]), "finite time"),
        (lambda: kaplan_meier([1.0], [True], 1.0), "level is a probability"),
        (lambda: restricted_mean([1.0], [True], INF), "horizon is a positive time"),
        (lambda: restricted_mean([1.0], [True], 0.0), "horizon is a positive time"),
        (lambda: paired_logrank([1.0], [1.0, 2.0], [True], [True, True]), "as many runs on both sides"),
    ],
)
def test_what_can_not_be(call, words):
    with pytest.raises(ValueError, match=words):
        call()

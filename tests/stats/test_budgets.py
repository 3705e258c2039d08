"""What tuning gives after k trials: against enumeration of all searches, and with its error."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats.budgets import after, budgets, search


def by_enumeration(select, value, k):
    """(m,): for each seed the mean over all subsets of k trials; ties are shared."""
    found = []
    for seed in range(select.shape[1]):
        others = np.delete(select, seed, axis=1).sum(1) if select.shape[1] > 1 else select[:, 0]
        chosen = []
        for subset in itertools.combinations(range(len(select)), k):
            own = others[list(subset)]
            chosen.append(np.mean([value[t, seed] for t in subset if others[t] == own.max()]))
        found.append(np.mean(chosen))
    return np.array(found)


@pytest.fixture
def scores():
    r = np.random.default_rng(0)
    select = r.normal(size=(9, 3))
    return select, select + r.normal(size=(9, 3))


@pytest.mark.parametrize("seeds", [1, 3])
def test_it_is_the_mean_over_all_searches_of_k_trials(scores, seeds):
    select, value = (each[:, :seeds] for each in scores)
    found = search(select, value)
    assert found.seeds.shape == (seeds, 9)
    for k in range(1, 10):
        assert found.seeds[:, k - 1] == pytest.approx(by_enumeration(select, value, k))


def test_without_each_trial_it_is_that_of_the_others(scores):
    found = search(*scores)
    assert found.without.shape == (9, 8)
    for trial in range(9):
        less = search(*(np.delete(each, trial, axis=0) for each in scores))
        assert found.without[trial] == pytest.approx(less.seeds.mean(0))


def test_a_seed_is_reported_where_the_others_choose():
    # Seed 0 was lucky at the first trial; the other two prefer the second.
    select = np.array([[9.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    value = np.array([[10.0, 20.0, 30.0], [11.0, 21.0, 31.0]])
    assert search(select, value).seeds[:, 1].tolist() == [11.0, 20.0, 30.0]


def test_after_one_trial_it_is_the_mean_with_its_usual_error(scores):
    """The jackknife of a mean is its variance; beside it stands that of the seeds."""
    _, value = scores
    found = after(search(*scores), 1)
    assert found.mean == pytest.approx(value.mean())
    trials, seeds = value.mean(1).var(ddof=1) / 9, value.mean(0).var(ddof=1) / 3
    d = value.mean(1) - value.mean()
    kurtosis = 9 * (d**4).sum() / (d**2).sum() ** 2
    freedom = min(8.0, 2 * 9 / (kurtosis - 1))
    t = abs(found.mean) / math.sqrt(trials + seeds)
    tails = [stats.t.sf(t, freedom), stats.t.sf(t, 2)]
    assert found.p == pytest.approx(2 * np.average(tails, weights=[trials, seeds]))
    half = (found.high - found.mean) / math.sqrt(trials + seeds)
    at = [stats.t.sf(half, freedom), stats.t.sf(half, 2)]
    assert 2 * np.average(at, weights=[trials, seeds]) == pytest.approx(0.05)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_arms_that_are_equal_but_for_a_constant_differ_by_just_that(scores):
    select, value = scores
    gap = search(select, value + 0.5) - search(select, value)
    for k in (1, 2, 4):
        found = after(gap, k)
        assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
        assert found.p < 1e-6
    same = after(search(*scores) - search(*scores), 4)
    assert (same.mean, same.p) == (0.0, 1.0)


def test_what_all_searches_share_has_no_interval(scores):
    assert math.isnan(after(search(*scores), 9).low)
    alone = after(search(*(each[:, :1] for each in scores)), 2)
    assert math.isfinite(alone.mean)
    assert math.isnan(alone.p)


def test_ties_are_shared():
    select = np.array([[0.0], [1.0], [1.0], [1.0]])
    value = np.array([[5.0], [1.0], [2.0], [6.0]])
    found = search(select, value)
    assert found.seeds[0] == pytest.approx([by_enumeration(select, value, k)[0] for k in range(1, 5)])


def test_arms_are_compared_up_to_half_of_the_trials():
    assert [budgets(trials) for trials in (2, 8, 24, 32)] == [[1], [1, 2, 4], [1, 2, 4, 8], [1, 2, 4, 8, 16]]


@pytest.mark.parametrize(
    ("select", "value"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([[1.0]], [[1.0]]),
        ([[1.0], [2.0]], [[1.0, 2.0]] * 2),
        ([[1.0], [2.0]], [[1.0], [math.nan]]),
    ],
)
def test_mistakes(select, value):
    with pytest.raises(ValueError, match=r"finite scores \(trials, seeds\) of two trials or more"):
        search(np.array(select), np.array(value))

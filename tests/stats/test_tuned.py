"""Comparisons of tuned arms, against a second implementation and by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paribus.stats import tuned
from paribus.stats.paired import paired_difference, with_falls
from paribus.stats.resampled import widened
from paribus.stats.tuned import cross_fitted, near_ties, tuned_difference


def reference(a, b, keep, level=0.95):
    """a, b: (tuning (k, G), val (n, G), test (n, G)). Written from the recipe, with nothing of paribus."""
    rows = []
    for (tuning, val, _), kept in zip((a, b), keep, strict=True):
        points = [g for g in range(tuning.shape[1]) if kept[g]]
        rows.append(
            [max(points, key=lambda g: tuning[:, g].sum() + np.delete(val[:, g], s).sum()) for s in range(len(val))]
        )
    y = [np.array([x[2][s, point] for s, point in enumerate(row)]) for x, row in zip((a, b), rows, strict=True)]

    def side(own, rival, kept):
        tests = [stats.ttest_rel(own, rival[:, g], alternative="greater") for g in range(rival.shape[1]) if kept[g]]
        return min(t.confidence_interval((1 + level) / 2).low for t in tests), max(t.pvalue for t in tests)

    low, up = side(y[0], b[2], keep[1])
    minus_high, down = side(y[1], a[2], keep[0])
    return (y[0] - y[1]).mean(), low, -minus_high, min(1.0, 2 * min(up, down))


@pytest.mark.parametrize("case", range(12))
def test_it_is_the_recipe_computed_a_second_time(case):
    r = np.random.default_rng(case)
    n, k, points = 5 + case, 3, 5
    arms = [tuple(r.normal(size=(size, points)) + r.normal(size=points) for size in (k, n, n)) for _ in range(2)]
    keep = [near_ties(tuning.T, int(tuning.mean(0).argmax())) for tuning, _, _ in arms]
    sides = []
    for (tuning, val, test), kept in zip(arms, keep, strict=True):
        near = np.flatnonzero(kept)
        choice = cross_fitted(tuning.T[near], val.T[near])
        sides.append((np.array([test[s, near[point]] for s, point in enumerate(choice)]), test.T[near]))
    found = tuned_difference([sides[0][0]], [sides[1][0]], [sides[0][1]], [sides[1][1]])
    assert (found.mean, found.low, found.high, found.p) == pytest.approx(reference(*arms, keep))


def test_points_are_kept_by_their_distance_in_standard_errors():
    r = np.random.default_rng(0)
    x = r.normal(size=(6, 4)) * [[1], [1], [2], [1], [0.1], [1]] + [[0], [-1], [-2], [-6], [-1.5], [-3]]
    mean, sd = x.mean(1), x.std(1, ddof=1)
    sd = np.maximum(sd, sorted(sd)[2] / 2 + sorted(sd)[3] / 2)
    best = mean.argmax()
    for seeds, c in ((4, 4.0), (3, 4.0)):
        part = x[:, :seeds]
        mean, sd = part.mean(1), part.std(1, ddof=1)
        sd, best = np.maximum(sd, np.median(sd)), part.mean(1).argmax()
        expected = mean[best] - mean <= c * np.sqrt((sd[best] ** 2 + sd**2) / seeds)
        assert near_ties(part, int(best)).tolist() == expected.tolist()
        assert not expected.all()


@pytest.mark.parametrize(("seeds", "kept"), [(2, 6.0), (3, 4.0), (4, 4.0), (5, 3.0), (20, 3.0)])
def test_how_far_depends_on_the_number_of_seeds(seeds, kept):
    wave = np.resize([1.0, -1.0], seeds) - np.resize([1.0, -1.0], seeds).mean()
    wave /= wave.std(ddof=1)
    edge = kept * math.sqrt(2 / seeds)
    assert near_ties(np.stack([wave, wave - 0.99 * edge]), 0).all()
    assert not near_ties(np.stack([wave, wave - 1.01 * edge]), 0).all()
    assert near_ties(np.stack([wave, wave - 9.0]), 1).all()  # the winner stays whatever it scores


def test_one_seed_tells_nothing_apart_and_infinitely_bad_points_are_dropped():
    assert near_ties(np.array([[1.0], [-9.0]]), 0).all()
    scores = np.array([[1.0, 2.0, 1.5], [-math.inf, 2.0, 2.0], [1.2, 1.9, 1.4]])
    assert near_ties(scores, 0).tolist() == [True, False, True]


def test_a_seed_does_not_choose_its_own_point():
    tuning = np.array([[1.0, 1.0], [1.0, 0.9]])
    reporting = np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    assert cross_fitted(tuning, reporting) == [0, 1, 1]
    brute = []
    r = np.random.default_rng(3)
    tuning, reporting = r.normal(size=(4, 3)), r.normal(size=(4, 7))
    for s in range(7):
        others = [tuning[g].sum() + sum(reporting[g][t] for t in range(7) if t != s) for g in range(4)]
        brute.append(int(np.argmax(others)))
    assert cross_fitted(tuning, reporting) == brute
    reporting[1, 2] = math.nan  # a seed that one point lacks counts at none
    assert cross_fitted(tuning, reporting) == cross_fitted(tuning, np.where(np.arange(7) == 2, 0.0, reporting))


def test_without_other_points_it_is_the_paired_difference():
    a, b = np.random.default_rng(1).normal(size=(2, 9))
    assert tuned_difference([a], [b], [a[None]], [b[None]]) == paired_difference(a.tolist(), b.tolist())


def test_an_arm_must_beat_every_kept_point_of_its_rival():
    r = np.random.default_rng(2)
    a, rival = r.normal(size=10) * 0.1 + 1.0, r.normal(size=(2, 10)) * 0.1
    rival[1] += 1.0  # as good as a
    alone = tuned_difference([a], [rival[0]], [a[None]], [rival[:1]])
    both = tuned_difference([a], [rival[0]], [a[None]], [rival])
    assert alone.p < 1e-6 < 0.05 < both.p
    assert both.low < 0 < alone.low
    assert (both.mean, both.high) == (alone.mean, alone.high)
    assert [len(both.below), len(both.above)] == [2, 1]
    turned = tuned_difference([rival[0]], [a], [rival], [a[None]])
    assert (turned.low, turned.high, turned.p) == pytest.approx((-both.high, -both.low, both.p))


def test_power_is_that_of_the_kept_point_that_spreads_most():
    """A comparison has to show a gain over each of them, and the widest asks for most pairs."""
    r = np.random.default_rng(3)
    a, rival = r.normal(size=10) * 0.1, r.normal(size=(2, 10)) * np.array([[0.1], [3.0]])
    both = tuned_difference([a], [rival[0]], [a[None]], [rival])
    assert both.widest == both.turned.widest == pytest.approx(np.std(a - rival[1], ddof=1))
    alone = tuned_difference([a], [rival[0]], [a[None]], [rival[:1]])
    assert alone.widest == alone.sd == both.sd < 0.2
    fallen = with_falls(alone, (5.0,))
    assert fallen.widest == pytest.approx(np.std([*(a - rival[0]), 5.0], ddof=1))


def test_pairs_of_arms_are_averaged_over_all_combinations_of_rivals(monkeypatch):
    r = np.random.default_rng(4)
    own, kept = r.normal(size=(3, 8)) + 1, [r.normal(size=(size, 8)) for size in (2, 3, 2)]
    chosen = [rows[0] for rows in kept]
    found = tuned_difference(own, chosen, [row[None] for row in own], kept)
    lows = [stats.ttest_rel(own.mean(0), np.mean(each, 0)).confidence_interval(0.95).low
            for each in itertools.product(*kept)]  # fmt: skip
    assert (found.low, len(found.below)) == (pytest.approx(min(lows)), 12)
    monkeypatch.setattr(tuned, "MOST_RIVALS", 11)
    bound = tuned_difference(own, chosen, [row[None] for row in own], kept)
    assert len(bound.below) == 1
    assert bound.low <= found.low
    assert bound.p >= found.p
    assert bound.mean == found.mean


def test_random_splits_widen_the_interval_by_their_correlation():
    a, b = np.random.default_rng(5).normal(size=(2, 10))
    plain, wide = (tuned_difference([a], [b], [a[None]], [b[None]], ratio=ratio) for ratio in (0.0, 0.25))
    d = a - b
    error = d.std(ddof=1) * math.sqrt(1 / 10 + 0.25)  # Nadeau & Bengio 2003
    assert wide.mean == pytest.approx(plain.mean)
    assert wide.high - wide.mean == pytest.approx(stats.t.ppf(0.975, 9) * error)
    assert wide.p == pytest.approx(2 * stats.t.sf(abs(d.mean()) / error, 9))
    assert widened(a, b, 0.0) is a

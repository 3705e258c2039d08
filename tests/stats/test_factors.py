"""The decomposition of grids against least squares of nested models, eigenvalues of contrasts, and scipy's tests."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import linalg, stats

from paribus.stats import factors
from paribus.stats.factors import decompose, largest_contrast
from paribus.stats.multiple import holm


def full(*sizes: int) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, sizes))))


def scores(levels: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Effects of all terms, seeds in common, and arms that are unequally noisy."""
    r = np.random.default_rng(seed)
    arms = len(levels)
    return r.normal(size=arms) + r.normal(size=(n, 1)) + r.normal(size=(n, arms)) * r.uniform(0.2, 2, arms)


def dummies(column) -> np.ndarray:
    _, which = np.unique(column, axis=0, return_inverse=True)
    return np.eye(which.max() + 1)[which.reshape(-1)]


def residual(y: np.ndarray, columns: list[np.ndarray]) -> float:
    """Sum of squares that is left after a fit by least squares of all runs."""
    x = np.hstack([np.ones((len(y), 1)), *columns])
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(((y - fitted) ** 2).sum())


def nested(values: np.ndarray, levels: np.ndarray, term: tuple[int, ...], terms) -> tuple[float, float]:
    """Sums of squares of a term and of its interaction with the seeds, as differences of nested models of all runs."""
    n, arms = values.shape
    y, seed = values.reshape(-1), np.repeat(np.arange(n), arms)[:, None]
    rows = np.tile(levels, (n, 1))
    others = [other for other in terms if not set(term) <= set(other)]

    def model(kept, crossed=()):
        fixed = [dummies(rows[:, each]) for each in kept]
        return residual(y, [dummies(seed), *fixed, *(dummies(np.hstack([seed, rows[:, each]])) for each in crossed)])

    with_term = model([*others, term])
    return model(others) - with_term, model([*others, term], others) - model([*others, term], [*others, term])


GRIDS = {
    "2 x 2": full(2, 2),
    "4 x 3": full(4, 3),
    "3 x 2 x 2": full(3, 2, 2),
    "without two arms": np.delete(full(4, 3), [3, 7], axis=0),
    "without an arm of three factors": np.delete(full(2, 3, 2), [4], axis=0),
}


@pytest.mark.parametrize("levels", GRIDS.values(), ids=GRIDS)
def test_sums_of_squares_are_those_of_nested_models(levels):
    values = scores(levels, 4)
    found = decompose(values, levels)
    terms = [each.term for each in found.effects]
    for each in found.effects:
        squares, error = nested(values, levels, each.term, terms)
        assert each.squares == pytest.approx(squares, rel=1e-9)
        assert each.error == pytest.approx(error, rel=1e-9)
        assert each.f == pytest.approx((squares / each.freedom) / (error / (each.freedom * 3)), rel=1e-9)


def test_by_hand():
    """R: summary(aov(y ~ a * b + Error(seed / (a * b)))) of these twelve runs; all sums are of whole numbers."""
    values = np.array([[1, 2, 4, 9], [2, 2, 6, 8], [0, 5, 5, 10]])  # a0b0, a0b1, a1b0, a1b1
    a, b, ab = decompose(values, full(2, 2)).effects
    # a: per seed (4 + 9 - 1 - 2) / 2 = 5, 5, 5; b: (2 + 9 - 1 - 4) / 2 = 3, 1, 5; ab: (9 - 4 - 2 + 1) / 2 = 2, 1, 0
    assert [each.squares for each in (a, b, ab)] == pytest.approx([3 * 25, 3 * 9, 3 * 1])
    assert [each.error for each in (a, b, ab)] == pytest.approx([0, 4 + 0 + 4, 1 + 0 + 1])
    assert [each.f for each in (b, ab)] == pytest.approx([27 / (8 / 2), 3 / (2 / 2)])
    assert [each.freedom for each in (a, b, ab)] == [1, 1, 1]


def test_the_sum_of_squares_of_a_factor_is_that_of_an_analysis_of_one_factor():
    levels = full(4, 3)
    values = scores(levels, 5)
    groups = [values[:, levels[:, 0] == k].ravel() for k in range(4)]
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (values.size - 4)
    found = decompose(values, levels).effects[0]
    assert found.squares == pytest.approx(stats.f_oneway(*groups).statistic * within * 3)


def test_two_levels_are_tested_as_a_pair():
    levels = full(2, 5)
    values = scores(levels, 6)
    found = decompose(values, levels).effects
    halves = [values[:, levels[:, 0] == k].mean(1) for k in (1, 0)]
    expected = stats.ttest_rel(*halves)
    assert found[0].f == pytest.approx(expected.statistic**2)
    rounding = 1 + 1e-12
    assert (
        expected.pvalue / rounding <= found[0].p <= min(1.0, 3 * expected.pvalue) * rounding
    )  # Holm's, of three terms


@pytest.mark.parametrize("name", ["4 x 3", "3 x 2 x 2"])
def test_p_is_that_of_greenhouse_and_geisser_from_contrasts(name):
    """Orthonormal contrasts of each term by Kronecker products, and the eigenvalues of their covariance."""
    levels, n = GRIDS[name], 7
    values = scores(levels, n, 3)
    found = decompose(values, levels)
    p = []
    for each in found.effects:
        blocks = [
            linalg.helmert(size) if factor in each.term else np.ones((1, size)) / math.sqrt(size)
            for factor, size in enumerate(levels.max(0) + 1)
        ]
        contrasts = blocks[0]
        for block in blocks[1:]:
            contrasts = np.kron(contrasts, block)
        z = values @ contrasts.T
        sizes = np.linalg.eigvalsh(np.atleast_2d(np.cov(z.T)))
        k, epsilon = len(contrasts), sizes.sum() ** 2 / len(contrasts) / (sizes**2).sum()
        f = n * (z.mean(0) ** 2).sum() / sizes.sum()
        assert each.freedom == k
        assert each.f == pytest.approx(f)
        p.append(stats.f.sf(f, epsilon * k, epsilon * k * (n - 1)))
    assert [each.p for each in found.effects] == pytest.approx(holm(p), rel=1e-9)


def test_shares_of_a_grid_without_noise_are_exact():
    levels = full(3, 2)
    means = 3 * np.array([-1, 0, 1])[levels[:, 0]] + 2 * np.array([-1, 1])[levels[:, 1]]
    found = decompose(means + np.array([[0.0], [1.0], [5.0], [2.0], [7.0], [1.0]]), levels)
    a, b, ab = found.effects
    assert [a.share, b.share, ab.share] == pytest.approx([6 / 10, 4 / 10, 0], abs=1e-9)
    assert [a.low, a.high] == pytest.approx([0.6, 0.6])
    assert (a.p, ab.p) == (3 * 2 * 2.0**-6, 1.0)
    assert found.common == pytest.approx(1)
    assert found.sd == pytest.approx(np.std([0, 1, 5, 2, 7, 1], ddof=1))


def test_shares_of_full_grids_add_up_and_noise_is_no_part_of_them():
    levels = full(4, 3)
    means = np.random.default_rng(0).normal(size=12)
    effects = np.array([means.reshape(4, 3).mean(1)[a] for a in levels[:, 0]]) - means.mean()
    truth = (effects**2).sum() / ((means - means.mean()) ** 2).sum()
    found, sums = [], []
    for k in range(300):
        r = np.random.default_rng([k, 7])
        shares = [each.share for each in decompose(means + 0.5 * r.normal(size=(5, 12)), levels).effects]
        found.append(shares[0])
        sums.append(sum(shares))
    assert np.mean(sums) == pytest.approx(1, abs=0.05)  # but for estimates below zero
    assert np.mean(found) == pytest.approx(truth, abs=0.03)


def test_limits_are_the_extremes_of_a_share_over_a_ball_of_means():
    """The radius from the eigenvalues of the contrasts' covariance, the shares of points on the ball's surface."""
    levels, n = full(3, 2), 8
    values = scores(levels, n, 1) + 4 * np.array([-1, 0, 1])[levels[:, 0]] + 3 * levels[:, 1]
    contrasts = linalg.helmert(6)
    z = values @ contrasts.T
    sizes = np.linalg.eigvalsh(np.cov(z.T))
    freedom = sizes.sum() ** 2 / (sizes**2).sum()
    radius = math.sqrt(sizes.sum() / n * stats.f.ppf(0.95, freedom, freedom * (n - 1)))
    points = np.random.default_rng(0).normal(size=(200_000, 5))
    points = z.mean(0) + radius * points / np.linalg.norm(points, axis=1, keepdims=True)
    means = points @ contrasts
    of_a = means.reshape(-1, 3, 2).mean(2)
    shares = 2 * (of_a**2).sum(1) / (means**2).sum(1)
    found = decompose(values, levels).effects[0]
    assert found.low > 0.1
    assert found.high < 1
    assert found.low <= shares.min() <= found.low + 0.05
    assert found.high - 0.05 <= shares.max() <= found.high


def test_noise_is_subtracted_from_a_share():
    levels, n = full(3, 2), 4
    values = 2 * scores(full(3, 2), n, 2)
    a, b = linalg.helmert(3), linalg.helmert(2)
    flat = np.ones((1, 3)) / math.sqrt(3), np.ones((1, 2)) / math.sqrt(2)
    z = values @ np.vstack([np.kron(a, flat[1]), np.kron(flat[0], b), np.kron(a, b)]).T
    squares = z.mean(0) ** 2 - z.var(0, ddof=1) / n
    sizes = [squares[:2].sum(), squares[2], squares[3:].sum()]
    for k, each in enumerate(decompose(values, levels).effects):
        this, others = max(0, sizes[k]), max(0, sum(sizes) - sizes[k])
        assert each.share == pytest.approx(this / (this + others))


def test_the_only_effect_may_be_all():
    levels = full(3, 2)
    values = np.random.default_rng(0).normal(size=(8, 6)) + 9 * levels[:, 0]
    a, b, _ = decompose(values, levels).effects
    assert (a.high, b.low) == (1.0, pytest.approx(0, abs=1e-30))
    assert a.low > 0.9


@pytest.mark.parametrize("size", [0.0, 1.0, 10.0])
def test_a_share_lies_within_its_limits(size):
    r = np.random.default_rng(5)
    shares = [
        each
        for _ in range(20)
        for each in decompose(size * r.normal(size=6) + r.normal(size=(5, 6)), full(3, 2)).effects
    ]
    known = [each for each in shares if not math.isnan(each.share)]
    assert len(known) > 40  # nothing is left of the others beside noise
    assert all(0 <= each.low <= each.share <= each.high <= 1 for each in known)


def test_random_splits_widen_everything():
    levels = full(3, 2)
    values = scores(levels, 5)
    plain, wide = (decompose(values, levels, ratio=ratio).effects for ratio in (0.0, 0.25))
    for one, other in zip(plain, wide, strict=True):
        assert other.f == pytest.approx(one.f * (1 / 5) / (1 / 5 + 0.25))
        assert other.p >= one.p
    narrow, broad = (largest_contrast(values, levels, (0,), ratio=ratio).difference for ratio in (0.0, 0.25))
    ratio = math.sqrt(1 + 5 * 0.25)
    assert broad.high - broad.low == pytest.approx(ratio * (narrow.high - narrow.low))


def test_means_that_may_be_moved_count_against_every_term():
    levels, n = full(3, 2), 6
    values = scores(levels, n) + 3 * levels[:, 0]
    slack = np.array([0.1, 0.0, 0.2, 0.3, 0.0, 0.1])
    plain, moved = decompose(values, levels).effects, decompose(values, levels, slack=slack).effects
    for one, other in zip(plain, moved, strict=True):
        length, error = math.sqrt(one.squares / n), one.error / (n - 1)
        assert other.f == pytest.approx(max(0, length - np.linalg.norm(slack)) ** 2 * n / error)
        assert other.p >= one.p
        assert other.low <= one.low <= one.high <= other.high
    alone, wide = largest_contrast(values, levels, (0,)), largest_contrast(values, levels, (0,), slack=slack)
    assert alone.levels == wide.levels == ((2, 0),)
    reach = (slack[4] + slack[0] + slack[5] + slack[1]) / 2
    assert wide.difference.high - alone.difference.high == pytest.approx(reach)
    assert alone.difference.low - wide.difference.low == pytest.approx(reach)
    assert decompose(values, levels, slack=0 * slack).effects == plain


def test_noise_in_common():
    levels = full(3, 2)
    values = scores(levels, 8)
    found = decompose(values, levels)
    covariance = np.cov(values.T)
    variance = np.trace(covariance) / 6
    assert found.sd == pytest.approx(math.sqrt(variance))
    between = covariance[np.triu_indices(6, 1)].mean()
    assert found.common == pytest.approx(between / variance)


def test_the_largest_difference_of_levels():
    levels = full(3, 2)
    values = scores(levels, 6)
    means = [values[:, levels[:, 0] == k].mean(1) for k in range(3)]
    order = sorted(range(3), key=lambda k: means[k].mean())
    found = largest_contrast(values, levels, (0,))
    assert found.levels == ((order[-1], order[0]),)
    assert found.count == 3
    expected = stats.ttest_rel(means[order[-1]], means[order[0]])
    interval = expected.confidence_interval(1 - 0.05 / 3)
    assert found.difference.mean == pytest.approx((means[order[-1]] - means[order[0]]).mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_difference_is_positive_whichever_level_is_first(sign):
    levels = full(3, 2)
    values = scores(levels, 6) + 50 * sign * levels[:, 0]
    found = largest_contrast(values, levels, (0,))
    assert found.levels == (((2, 0) if sign > 0 else (0, 2)),)
    assert found.difference.mean == pytest.approx(100, abs=10)


def test_of_too_many_contrasts_there_is_no_largest(monkeypatch):
    levels = full(3, 2)
    for most, there in ((3, True), (2, False)):
        monkeypatch.setattr(factors, "MOST_CONTRASTS", most)
        assert (largest_contrast(scores(levels, 4), levels, (0,)) is not None) == there


def test_the_largest_difference_of_differences():
    levels = full(3, 4)
    values = scores(levels, 6)
    table = values.mean(0).reshape(3, 4)
    found = largest_contrast(values, levels, (0, 1))
    every = {
        (i, j, k, m): table[i, k] - table[j, k] - table[i, m] + table[j, m]
        for i, j in itertools.permutations(range(3), 2)
        for k, m in itertools.combinations(range(4), 2)
    }
    (i, j), (k, m) = found.levels
    assert every[i, j, k, m] == pytest.approx(max(every.values()))
    assert found.difference.mean == pytest.approx(max(every.values()))
    assert found.count == len(every) / 2 == 18


def test_a_grid_that_lacks_arms_compares_where_both_levels_are():
    levels = np.delete(full(2, 3), [4], axis=0)  # the second level of a has no second level of b
    values = scores(levels, 5)
    found = largest_contrast(values, levels, (0,))
    own = (values[:, 3] - values[:, 0] + values[:, 4] - values[:, 2]) / 2
    assert abs(found.difference.mean) == pytest.approx(abs(own.mean()))
    assert largest_contrast(values, levels, (0, 1)).count == 1
    assert largest_contrast(values[:, [0, 1, 3]], levels[[0, 1, 3]], (0, 1)) is None


def test_a_term_that_a_grid_can_not_tell_is_left_out():
    levels = np.array([[0, 0], [0, 1], [1, 0]])
    found = decompose(scores(levels, 4), levels)
    assert [each.term for each in found.effects] == [(0,), (1,)]


@pytest.mark.parametrize(
    ("values", "levels", "message"),
    [
        (np.zeros((1, 4)), full(2, 2), "two seeds or more"),
        (np.full((3, 4), np.nan), full(2, 2), "two seeds or more"),
        (np.zeros((3, 3)), full(2, 2), "at each of the 4 arms"),
        (np.zeros((3, 2)), full(2, 1), "two factors or more that vary"),
        (np.zeros((3, 2)), full(2), "two factors or more that vary"),
        (np.zeros((3, 5)), np.vstack([full(2, 2), [[0, 0]]]), "an arm stands once"),
    ],
)
def test_mistakes(values, levels, message):
    with pytest.raises(ValueError, match=message):
        decompose(values, levels)


def test_equal_runs_of_all_arms_have_no_shares():
    found = decompose(np.ones((4, 4)), full(2, 2))
    assert all(math.isnan(each.share) and each.p == 1 for each in found.effects)
    assert (found.sd, math.isnan(found.common)) == (0.0, True)

"""Spaces of hyper-parameters, and the points that are drawn from them."""

import math

import numpy as np
import pytest
from scipy.stats import qmc

from paribus.stats.spaces import EDGE, KINDS, SAMPLERS, Range, Search, points, space_of, uniform

SPACE = {
    "lr": Range.parse({"log": [1e-4, 1]}),
    "momentum": Range.parse({"uniform": [0, 0.99]}),
    "width": Range.parse({"int": [8, 64]}),
    "batch": Range.parse({"choice": [16, 32, 64]}),
}


def test_sobol_is_the_sequence_of_scipy_with_shifted_bits():
    x = qmc.Sobol(3, scramble=False, bits=30).random_base2(5)
    u = uniform("sobol", 32, 3, 7)
    for plain, shifted in zip(x.T, u.T, strict=True):
        assert len({int(a * 2**30) ^ int(b * 2**30) for a, b in zip(plain, shifted, strict=True)}) == 1
    other = uniform("sobol", 32, 3, 8)
    assert not np.isclose(u, other).any()


def test_powers_of_two_are_balanced_in_every_column():
    u = uniform("sobol", 64, 6, 0)
    for size in (2, 4, 8, 16, 32, 64):
        for first in range(0, 64, size):
            strata = np.sort((u[first : first + size] * size).astype(int), axis=0)
            assert (strata == np.arange(size)[:, None]).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_rows_and_columns_leave_those_that_there_are(sampler):
    many = uniform(sampler, 48, 5, 3)
    assert ((many > 0) & (many < 1)).all()
    for n, columns in ((1, 1), (24, 5), (48, 2), (7, 4)):
        assert (uniform(sampler, n, columns, 3) == many[:n, :columns]).all()


def test_random_numbers_are_uniform_and_columns_independent():
    u = uniform("random", 20_000, 2, 0)
    assert u.mean(0) == pytest.approx([0.5, 0.5], abs=0.01)
    assert u.var(0) == pytest.approx([1 / 12, 1 / 12], abs=0.003)
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.03


def test_points_do_not_depend_on_versions_of_libraries():
    """They are part of the ids of runs: whoever changes them trains everything again."""
    lr = {"lr": SPACE["lr"]}
    assert [point["lr"] for point in points(lr, Search(4))] == [0.03531, 0.0003531, 0.003531, 0.3531]
    assert [point["lr"] for point in points(lr, Search(3, "random"))] == pytest.approx(
        [10 ** (4 * u - 4) for u in (np.random.PCG64([0, 0]).random_raw(3) >> np.uint64(11)) * 2.0**-53], rel=1e-3
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_fewer_trials_are_the_first_of_more(sampler):
    search = Search(24, sampler, 5)
    found = points(SPACE, search)
    assert points(SPACE, Search(48, sampler, 5))[:24] == found
    assert len({repr(point) for point in found}) == 24
    assert points(SPACE, Search(24, sampler, 6)) != found
    for point in found:
        assert 1e-4 <= point["lr"] <= 1
        assert 0 <= point["momentum"] <= 0.99
        assert point["width"] in range(8, 65)
        assert point["batch"] in (16, 32, 64)
        assert all(len(str(point[key]).lstrip("0.").replace(".", "")) <= 4 for key in ("lr", "momentum"))
        assert [type(value) for value in point.values()] == [float, float, int, int]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_point_that_was_drawn_before_is_passed_over(sampler):
    small = {"a": Range.parse({"int": [1, 4]}), "b": Range.parse({"choice": ["x", "y", "z"]})}
    all_of_them = points(small, Search(12, sampler))
    assert sorted((point["a"], point["b"]) for point in all_of_them) == [(a, b) for a in range(1, 5) for b in "xyz"]
    assert points(small, Search(7, sampler)) == all_of_them[:7]
    with pytest.raises(ValueError, match=r"as many different points as there are trials, 13, got 12\. Lower trials"):
        points(small, Search(13, sampler))


def test_values_are_spread_evenly_in_what_the_range_says():
    u = np.linspace(0.0005, 0.9995, 1000)
    logs = [math.log10(SPACE["lr"].at(each)) for each in u]
    assert np.histogram(logs, 4, (-4, 0))[0].tolist() == [250] * 4
    assert np.histogram([SPACE["momentum"].at(each) for each in u], 3, (0, 0.99))[0] == pytest.approx([333] * 3, abs=2)
    widths = [SPACE["width"].at(each) for each in u]
    assert (min(widths), max(widths)) == (8, 64)
    assert np.bincount(widths)[8:].max() - np.bincount(widths)[8:].min() <= 1
    assert [SPACE["batch"].at(each) for each in (0.0, 0.34, 0.99)] == [16, 32, 64]


@pytest.mark.parametrize("low_high", [[0.99, 0.9999], [1000, 1001], [-3, 3], [1e-12, 1e-11], [1, 1.0001]])
@pytest.mark.parametrize("kind", ["log", "uniform"])
def test_narrow_ranges_have_enough_values(kind, low_high):
    low, high = low_high
    if kind == "log" and low < 0:
        return
    each = Range.parse({kind: low_high})
    values = [each.at(u) for u in np.linspace(0, 1, 2001)]
    assert len(set(values)) >= 900
    assert (min(values), max(values)) == (low, high)


def test_times_multiplies_the_arms_own_value():
    ranges = {"lr": Range.parse({"times": [0.01, 100]})}
    assert space_of(ranges, {"lr": 0.05}) == {"lr": Range("log", (0.0005, 5.0))}
    # Arms of other orders of magnitude draw the same multiples.
    a, b = (points(space_of(ranges, {"lr": own}), Search(8)) for own in (0.1, 0.001))
    assert [100 * one["lr"] for one in b] == pytest.approx([one["lr"] for one in a])
    with pytest.raises(ValueError, match=r"lr multiplies the arm's own value, .* positive number, got None"):
        space_of(ranges, {"lr": None})


def test_the_outermost_share_of_a_range_is_its_edge():
    def on_edge(key, *values):
        return [SPACE[key].on_edge(value) for value in values]

    assert on_edge("lr", 1e-4, 10 ** (-4 + 4 * EDGE) * 0.99, 10 ** (-4 + 4 * EDGE) * 1.01) == [True, True, False]
    assert on_edge("lr", 10 ** (-4 * EDGE) * 0.99, 10 ** (-4 * EDGE) * 1.01, 1) == [False, True, True]
    assert on_edge("momentum", 0.0, 0.049, 0.05, 0.94, 0.95) == [True, True, False, False, True]
    assert on_edge("width", 8, 10, 11, 61, 62, 64) == [True, True, False, False, True, True]
    assert on_edge("batch", 16, 64) == [False, False]
    assert [Range.parse({"int": [1, 3]}).on_edge(value) for value in (1, 2, 3)] == [True, False, True]
    assert [Range.parse({"int": [1, 2]}).on_edge(value) for value in (1, 2)] == [False, False]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (0.1, r"must be one of log, uniform, times, int: \[lowest, highest\], or choice: \[values\], got 0.1"),
        ({}, "must be one of"),
        ({"log": [0.1, 1], "int": [1, 2]}, "must be one of"),
        ({"linear": [0.1, 1]}, "must be one of"),
        ({"log": 3}, r"must be log: \[lowest, highest\], two numbers, got 3"),
        ({"log": [0.1, 1, 7]}, r"two numbers, got \[0.1, 1, 7\]. A count belongs to a grid, which has no trials"),
        ({"log": ["a", 1]}, "two numbers"),
        ({"log": [0.1, math.inf]}, "two numbers"),
        ({"log": [0, 1]}, r"must be positive on a logarithmic range, got \[0, 1\]. Try uniform"),
        ({"times": [-1, 1]}, "must be positive"),
        ({"log": [1, 0.1]}, r"must have its lowest value below its highest, got \[1, 0.1\]"),
        ({"uniform": [1, 1]}, "lowest value below its highest"),
        ({"uniform": [-1.7e308, 1.7e308]}, "lowest value below its highest"),
        ({"int": [8, 64.5]}, "two whole numbers"),
        ({"int": [64, 8]}, "lowest value below its highest"),
        ({"choice": 3}, r"must be choice: \[values\], two or more"),
        ({"choice": [3]}, "two or more"),
        ({"choice": [3, 3]}, "that are different and plain"),
        ({"choice": [1, {"a": 2}]}, "different and plain"),
        ({"choice": [1.0, math.nan]}, "different and plain"),
    ],
)
def test_a_range_of_another_form_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        Range.parse(spec)


def test_every_kind_is_read():
    given = {"log": [1, 2], "uniform": [1, 2], "times": [1, 2], "int": [1, 2], "choice": [1, 2]}
    assert [Range.parse({kind: values}).kind for kind, values in given.items()] == list(KINDS)

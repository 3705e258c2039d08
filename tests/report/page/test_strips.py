"""Strips of intervals: their axes, what is cut, and the numbers behind them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from made_studies import made, made_grid

from paribus.report.page import strips
from paribus.report.tidy import comparisons
from paribus.stats.paired import paired_difference


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 47), (0.0713, 0.0719), (-2e-7, 1e-7), (3, 8e9), (99, 100)])
def test_ticks_are_round_and_few(low, high):
    ticks, _ = strips.nice_ticks(low, high)
    assert 2 <= len(ticks) <= strips.MOST + 1
    assert all(low <= tick <= high for tick in ticks)
    [step] = {float(f"{b - a:.6g}") for a, b in itertools.pairwise(ticks)}
    assert float(f"{step:e}".partition("e")[0]) in (1, 2, 5)


def test_ticks_are_written_as_people_write_them():
    def written(low, high, sign=False):
        ticks, places = strips.nice_ticks(low, high)
        return [strips.tick_text(tick, places, sign) for tick in ticks]

    assert written(0, 0.5) == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]
    assert written(-20, 41, sign=True) == ["−20", "0", "+20", "+40"]
    assert written(0, 45_000) == ["0", "10k", "20k", "30k", "40k"]
    assert written(0, 1.9e-6) == ["0", "5e−7", "1e−6", "1.5e−6"]


def test_no_ticks_where_there_are_no_numbers_between_the_ends():
    assert strips.nice_ticks(-1e308, 1e308) == ([], 0)
    assert strips.nice_ticks(1.0, 1.0) == ([], 0)
    assert strips.Axis([0.0, 0.0]).ticks, "one value has a neighbourhood"


def test_differences_lie_where_the_axis_says():
    study = made().studies[0]
    found = strips.differences(study, lambda arm: f"#{arm}")
    [first, second] = [tick["at"] for tick in found["ticks"]][:2]
    values = [float(tick["text"].replace("−", "-")) for tick in found["ticks"]][:2]
    for row, each in zip(found["rows"], comparisons(study), strict=True):
        place = first + (100 * each.mean - values[0]) / (values[1] - values[0]) * (second - first)
        assert row["mean"] == pytest.approx(place, abs=0.02)
        assert row["low"] < row["mean"] < row["high"]
        assert row["place"] == f"#{each.arm}"
    assert found["label"] == "difference in test accuracy (points)"
    assert found["smallest"] == "0.5 points"
    assert not found["cut"]


def test_an_interval_that_would_press_all_others_together_is_cut():
    means = [strips.Compared("a", 5, 0.01, 0.005, 0.015), strips.Compared("b", 2, 0.02, -3.0, 3.0)]
    axis = strips.Axis([0.0, *strips._seen(means)])
    near, far = (axis.bar(each.low, each.high) for each in means)
    assert near["beyond"] == []
    assert far["beyond"] == ["left", "right"]
    assert near["high"] - near["low"] > 3
    alike = strips.Axis(strips._seen([strips.Compared("a", 2, 0.01, -3.0, 3.0)] * 2))
    assert alike.bar(-3.0, 3.0)["beyond"] == []


def test_a_mean_far_from_all_others_lies_beyond_the_axis():
    near = [strips.Compared(f"arm {k}", 5, k / 1000, (k - 1) / 1000, (k + 1) / 1000) for k in range(1, 8)]
    axis = strips.Axis(strips._seen([*near, strips.Compared("far", 5, -0.8, -0.9, -0.7)]))
    assert axis.dot(-0.8) is None
    assert axis.bar(-0.9, -0.7) == {"low": 0.0, "high": 0.0, "beyond": ["left"]}
    assert all(axis.dot(each.mean) is not None for each in near)
    few = strips.Axis(strips._seen([near[0], strips.Compared("far", 5, -0.8, -0.9, -0.7)]))
    assert few.dot(-0.8) is not None, "of two arms none is the exception"


def test_the_steps_of_a_path_gain_what_pairs_of_seeds_gain():
    result = made(arms=("a", "b", "c"), regimes=("F",))
    [plan] = result.plans
    object.__setattr__(plan.ablation, "design", "path")
    result.gather()
    found = strips.waterfall(result.studies[0], lambda arm: arm)
    scores = [[result.records[c.id].metrics["test/acc"] for c in plan.arms[arm]] for arm in ("a", "b")]
    gain = paired_difference(scores[1], scores[0])
    first, second = found["rows"][:2]
    assert first["from"] is None
    assert second["from"] == first["mean"]
    assert second["text"].startswith(f"+{100 * gain.mean:.2f}"[:4])
    assert first["value"] == f"{100 * np.mean(scores[0]):.2f}"
    assert strips.waterfall(made().studies[0], lambda arm: arm) is None


def test_the_shares_of_factors_are_those_of_the_decomposition():
    study = made_grid()
    found = strips.importance(study)
    shares = sorted((each.share for each in study.grid.found.effects), reverse=True)
    hundred = next(tick["at"] for tick in found["ticks"] if tick["text"] == "100") - found["zero"]
    assert [row["mean"] - found["zero"] for row in found["rows"]] == pytest.approx(
        [hundred * share for share in shares], abs=0.02
    )
    assert all(math.isfinite(row["low"]) for row in found["rows"])
    assert strips.importance(made().studies[0]) is None

"""Rounding: two digits of the uncertainty, and as many places of the mean."""

from __future__ import annotations

import math

import pytest

from paribus.base.metrics import FIRST, Key, Metric
from paribus.report.numbers import decimals, p_value, ranges, short, text, title, with_spread


@pytest.mark.parametrize(
    ("mean", "spread", "shown"),
    [
        (97.7777, 0.9622, ("97.78", "0.96")),
        (97.7777, 0.0996, ("97.78", "0.10")),
        (97.7777, 9.96, ("98", "10")),
        (97.7777, 12.34, ("98", "12")),
        (1234.5, 123.4, ("1234", "123")),
        (0.08559, 0.02136, ("0.086", "0.021")),
        (-0.04, 1.3, ("0.0", "1.3")),
        (-1.26, 1.3, ("−1.3", "1.3")),
        (3.21e-7, 4.5e-9, ("3.210e−7", "0.045e−7")),
        (98.5, 0.0, ("98.5", "0")),
        (0.123456, math.nan, ("0.1235", "")),
        (math.nan, math.nan, ("–", "")),
        (math.inf, math.nan, ("inf", "")),
    ],
)
def test_mean_and_spread(mean, spread, shown):
    assert with_spread(mean, spread) == shown


def test_two_digits_of_any_spread():
    for exponent in range(-4, 1):
        for digits in (1.04, 1.06, 5.5, 9.94, 9.96):
            spread = digits * 10.0**exponent
            shown = with_spread(1.0, spread)[1]
            assert float(shown) == pytest.approx(spread, rel=0.05)
            assert len(shown.replace(".", "").lstrip("0")) == 2


def test_words():
    assert decimals(math.nan) == 2
    assert text(0.001, 2, sign=True) == "0.00"
    assert text(0.5, 1, sign=True) == "+0.5"
    assert short(23946.0) == "23,946"
    assert [p_value(p) for p in (math.nan, 0.0, 0.0005, 0.01234, 1.0)] == [
        "–",
        "< 0.001",
        "< 0.001",
        "0.012",
        "1.000",
    ]
    assert ranges([0, 1, 2, 4, 7, 8]) == "0–2, 4, 7, 8"
    assert title(FIRST.key("val/acc_best")) == "best validation accuracy (%)"
    assert title(FIRST.key("test/ece")) == "test ECE (%)"
    assert title(Key("grad_norm")) == "grad_norm"
    assert title(Key("val/rmse", Metric("rmse", "lower", "km"))) == "validation RMSE (km)"

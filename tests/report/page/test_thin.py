"""Thinned curves keep their ends and every extreme that can be seen."""

from __future__ import annotations

import numpy as np
import pytest

from paribus.report.page.thin import history_columns, kept_rows, points_each, short


@pytest.mark.parametrize("length", [0, 1, 5, 40])
def test_what_fits_is_kept_whole(length):
    assert kept_rows([np.arange(length)], 40).tolist() == list(range(length))


@pytest.mark.parametrize("most", [6, 17, 100, 399])
@pytest.mark.parametrize("columns", [1, 2])
def test_the_bound_holds_and_ends_and_extremes_stay(most, columns):
    rng = np.random.default_rng(most)
    values = [rng.normal(size=2000) for _ in range(columns)]
    rows = kept_rows(values, most)
    assert len(rows) <= most
    assert (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, 1999)
    for column in values:
        inner = column[1:-1]
        assert {1 + inner.argmax(), 1 + inner.argmin()} <= set(rows.tolist())


def test_a_spike_of_one_row_survives_whatever_is_around_it():
    quiet = np.linspace(1, 0, 10_000)
    quiet[1234] = 50.0
    assert 1234 in kept_rows([quiet], 12)


def test_rows_without_a_value_are_no_extremes():
    values = np.full(1000, np.nan)
    values[::10] = np.arange(100)
    inside = kept_rows([values], 30)[1:-1]
    assert np.isfinite(values[inside]).all()
    assert kept_rows([np.full(1000, np.nan)], 30).tolist() == [0, 999]


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 6 rows for their extremes, got 5"):
        kept_rows([[1.0], [2.0]], 5)


def test_short_numbers():
    assert short([0.123456, 1234567.0, float("nan"), float("inf"), 0]) == [0.1235, 1235000.0, None, None, 0.0]


def test_the_budget_of_bytes_is_kept():
    assert points_each(900_000, 500, 7, least=12) * 500 * 7 * 6.5 <= 900_000
    assert points_each(900_000, 5, 7, least=12) == 400
    assert points_each(10, 500, 7, least=12) == 12


def test_a_history_has_one_set_of_rows():
    history = {"epoch": np.arange(500), "step": np.arange(500) * 7, "seconds": np.arange(500) / 3}
    history["train/loss"] = np.cos(np.arange(500))
    found = history_columns(history, ["train/loss", "val/acc"], 20)
    assert set(found) == {"epoch", "step", "seconds", "train/loss"}
    assert {len(column) for column in found.values()} == {len(found["epoch"])}
    assert [7 * epoch for epoch in found["epoch"]] == found["step"]
    assert history_columns({"epoch": [], "train/loss": []}, ["train/loss"], 20) == {"epoch": [], "train/loss": []}

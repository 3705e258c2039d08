"""The comparison of a W&B run with its record, number by number."""

import math

import pytest

from paribus.extras.wandb.check import difference, number, rows_of
from paribus.store.record import Record

RECORD = Record(
    id="a",
    status="done",
    metrics={"test/acc": 0.1 + 0.2, "train/loss": math.nan},
    timing={"steps": 6, "total_seconds": 3.0},
    parameters=10,
)
HISTORY = {"epoch": [1.0, 2.0], "step": [3.0, 6.0], "train/loss": [0.5, 1 / 3], "val/acc": [math.nan, 0.25]}
ROWS = [
    {"epoch": 1, "step": 3, "train/loss": 0.5, "_step": 0},
    {"epoch": 2, "step": 6, "train/loss": 1 / 3, "_step": 1},
    {"step": 6, "val/acc": 0.25, "_step": 2},  # of the same step, in a row of its own
]
SUMMARY = {"test/acc": 0.30000000000000004, "train/loss": "NaN", "steps": 6, "parameters": 10, "status": "done"}


def test_agreement():
    found = difference(RECORD, HISTORY, ROWS, {**SUMMARY, "more": 1})
    assert not found
    assert str(found) == "nothing"


@pytest.mark.parametrize(
    ("rows", "said"),
    [(ROWS[:2], [6.0]), ([], [3.0, 6.0]), ([ROWS[0] | {"train/loss": 0.5000001}, *ROWS[1:]], [3.0])],
)
def test_rows_that_are_missing_or_differ(rows, said):
    found = difference(RECORD, HISTORY, rows, SUMMARY)
    assert [row["step"] for row in found.rows] == said
    assert str(found) == ("1 row of the history" if len(said) == 1 else "2 rows of the history")


def test_numbers_of_the_summary():
    found = difference(RECORD, HISTORY, ROWS, {**SUMMARY, "test/acc": 0.3, "status": "failed"})
    assert found.summary == {"test/acc": 0.1 + 0.2, "status": "done"}
    assert "test/acc, status" in str(found)
    assert "total_seconds" not in difference(RECORD, HISTORY, ROWS, {}).summary  # not known when W&B ends


def test_empty_fields_are_no_values():
    assert rows_of(HISTORY)[0] == {"epoch": 1.0, "step": 3.0, "train/loss": 0.5}
    assert rows_of({}) == []


def test_numbers_as_wandb_writes_them():
    assert math.isnan(number("NaN"))
    assert number("-Infinity") == -math.inf
    assert number(3) == 3.0
    assert math.isnan(number({"max": 1}))

"""Records become arms by what they vary, and nothing is averaged over by accident."""

from __future__ import annotations

import pytest

from paribus.evidence.arms import ReportError, arms_by, varied
from paribus.store.record import Record


def record(id: str, seed: int = 0, created: str = "2026-01-01", **choices) -> Record:
    named = {key.replace("__", "."): value for key, value in choices.items()}
    return Record(id=id, status="done", seed=seed, created=created, choices={"model": "cnn", **named})


def ids(arms):
    return {label: [run.id for run in runs] for label, runs in arms.items()}


def test_rows_are_what_the_records_vary_and_seeds_are_not():
    records = [record(f"{norm}{seed}", seed, norm=norm, seeds__order=seed) for norm in "ba" for seed in (0, 1)]
    assert varied(records) == ["norm"]
    assert ids(arms_by(records)) == {"b": ["b0", "b1"], "a": ["a0", "a1"]}


def test_numbers_are_ordered_as_numbers_and_equal_meanings_are_one_row():
    records = [record(str(k), lr=lr) for k, lr in enumerate([0.1, "1e-2", 1, 0.01, "0.10"])]
    assert ids(arms_by(records)) == {"0.01": ["1", "3"], "0.1": ["0", "4"], "1": ["2"]}


def test_words_keep_the_order_in_which_they_were_trained():
    records = [
        record("x", created="2026-01-02", norm="batch"),
        record("y", created="2026-01-01", norm="none"),
    ]
    assert list(arms_by(records)) == ["none", "batch"]


def test_several_keys_are_named_in_the_label():
    records = [
        record("x", norm="batch", lr=0.1),
        record("y", norm="none", lr=0.1),
        record("z", norm="none", lr=1),
    ]
    assert list(arms_by(records)) == ["norm=batch, lr=0.1", "norm=none, lr=0.1", "norm=none, lr=1"]


def test_a_choice_that_was_not_given_is_a_level_of_its_own():
    records = [record("x"), record("y", clip__norm=None), record("z", clip__norm=True)]
    assert list(arms_by(records)) == ["(default)", "null", "true"]


def test_averaging_over_a_choice_takes_an_explicit_word():
    records = [record("x", norm="batch", optimizer="sgd"), record("y", norm="batch", optimizer="adam")]
    with pytest.raises(ReportError, match=r"differ in optimizer: sgd, adam.*--by optimizer, or --mix optimizer"):
        arms_by(records, ["norm"])
    assert ids(arms_by(records, ["norm"], mix=["optimizer"])) == {"batch": ["x", "y"]}
    assert len(arms_by(records, ["norm", "optimizer"])) == 2


def test_unknown_keys_are_named_with_the_known():
    with pytest.raises(ReportError, match=r"got nrom\. There are model, norm"):
        arms_by([record("x", norm="batch")], ["nrom"])


def test_one_kind_of_run_is_one_row():
    assert ids(arms_by([record("x", 0), record("y", 1)])) == {"all runs": ["x", "y"]}
    assert arms_by([]) == {}

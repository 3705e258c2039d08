"""The score of a run: what guessing scores, where its own number is none that could be averaged."""

from __future__ import annotations

import math

import pytest

from paribus.store.record import Record
from paribus.store.scores import diverged, score, tuning_score

LOSS = {"better": "lower", "unit": None, "chance": 2.0}
DECLARED = {
    "loss": LOSS,
    "error": {"better": "lower", "unit": "percent", "chance": 0.5},
    "size": {"better": "lower", "unit": None, "chance": None},
    "acc": {"better": "higher", "unit": "percent", "chance": 0.5},
}


def run(status="done", **metrics):
    """A record with metrics named train_loss, test_loss, ..."""
    named = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return Record("0" * 16, status, declared=DECLARED, metrics=named, classes=2)


@pytest.mark.parametrize(
    ("train", "test", "scored"),
    [
        (1e13, 2e13, 2.0),  # it blew up, and stayed finite
        (4.01, 4.02, 2.0),
        (2.01, 2.02, 2.02),  # it learned nothing
        (0.001, 20.0, 20.0),  # overfitted: the number says something
        (5.7, 0.3, 0.3),  # its last epoch had a spike, and it recovered
        (1.0, math.inf, 2.0),
        (1.0, math.nan, 2.0),
        (1.0, 0.7, 0.7),
    ],
)
def test_a_loss_that_blew_up_scores_like_one_that_is_not_finite(train, test, scored):
    record = run(train_loss=train, test_loss=test)
    assert score(record, "test/loss") == scored
    assert diverged(record, "test/loss") == (scored != test)
    chosen = tuning_score(record, "test/loss")
    assert chosen == test if scored == test else math.isnan(chosen)


def test_what_is_bounded_or_has_no_known_chance_stands_as_it_is():
    record = run(train_loss=1e13, test_loss=1e13, test_error=0.9, test_size=1e13, test_acc=0.1)
    for metric, value in {"test/error": 0.9, "test/size": 1e13, "test/acc": 0.1}.items():
        assert score(record, metric) == tuning_score(record, metric) == value
        assert not diverged(record, metric)


def test_a_run_without_a_training_loss_is_not_called_diverged():
    assert score(run(test_loss=9.0), "test/loss") == 9.0


@pytest.mark.parametrize("status", ["running", "failed", "pruned"])
def test_only_what_came_to_its_end_has_a_score(status):
    record = run(status, train_loss=1e13, test_loss=1e13)
    assert math.isnan(score(record, "test/loss"))
    assert tuning_score(record, "test/loss") is None
    assert not diverged(record, "test/loss")
    assert tuning_score(run("diverged"), "test/loss") != tuning_score(run("diverged"), "test/loss")  # nan
    assert score(run("diverged"), "test/loss") == 2.0

"""The nearest names in a message."""

from paribus.base.text import near


def test_the_nearest_names_are_asked_for():
    assert near("optimizr", ["optimizer", "scheduler", "norm"]) == " Did you mean optimizer?"
    assert near("bacth", ["batch", "batch_renorm", "layer"]) == " Did you mean batch?"
    assert near("seed", ["seeds", "seed_all", "norm"]) == " Did you mean seeds or seed_all?"
    assert near("seed", ["seeds", "seed_all"], 1) == " Did you mean seeds?"


def test_nothing_is_said_where_nothing_is_near():
    assert near("xyz", ["batch", "layer"]) == ""
    assert near(17, []) == ""

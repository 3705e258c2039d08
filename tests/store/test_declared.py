"""Declarations that records share: what they say together, and where they contradict each other."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from paribus.base.metrics import FIRST, Key, Metric
from paribus.store.declared import Contradiction, agreed, unlike
from paribus.store.record import Record

DECLARED = [
    {},
    {"x": {"better": "higher", "unit": None, "chance": None}},
    {"x": {"better": "higher", "unit": None, "chance": "1/classes"}},
    {"x": {"better": "lower", "unit": None, "chance": None}},
    {"x": {"better": None, "unit": None, "chance": None}},
    {"x": {"better": None, "unit": None, "chance": None, "how": "a.A()"}},
    {"x": {"better": "higher", "unit": None, "chance": None, "how": "b.B()"}},
    {"x": {"better": "higher", "unit": "km", "chance": None}},
    {"loss": {"better": "lower", "unit": None, "chance": None}},
]


def record(name, declared, classes=10, loss="cross_entropy"):
    made = Record(name, "done", declared=declared, classes=classes, choices={"loss": loss})
    return Record.from_json(made.to_json())  # as the store reads it


def said(metric, records):
    try:
        return agreed(metric, records).metric
    except Contradiction:
        return None


@pytest.mark.parametrize("metric", ["val/x", "loss", Key("val/x", Metric("x", "higher"))])
def test_one_record_of_each_set_says_what_all_of_them_say(metric):
    r = np.random.default_rng(0)
    kinds = [
        (json.loads(json.dumps(each)), classes, loss)
        for each, classes, loss in itertools.product(DECLARED, (10, None), ("cross_entropy", "own"))
    ]
    outcomes = set()
    for _ in range(200):
        chosen = r.integers(0, len(kinds), r.integers(1, 4))
        records = [record(f"r{k}", *kinds[chosen[k % len(chosen)]]) for k in range(9)]
        few = unlike([None, *records])
        assert len(few) <= len(set(chosen))
        assert [each for each in records if each.id in {one.id for one in few}] == few
        for each in records:  # nothing that one declares is lost
            assert any(each.declaration(metric) is one.declaration(metric) for one in few)
        outcomes.add(found := said(metric, records))
        assert found == said(metric, few)
    assert len(outcomes) > 1


def test_a_contradiction_is_found_in_every_order():
    records = [record(f"r{k}", DECLARED[k]) for k in (4, 5, 6)]  # two of them are computed in different ways
    for order in itertools.permutations(records):
        with pytest.raises(Contradiction, match="must be computed alike"):
            agreed("val/x", order)
    for order in itertools.permutations(record(f"r{k}", DECLARED[k]) for k in (0, 1, 3, 4)):
        with pytest.raises(Contradiction, match="must be declared alike by all that is compared, but better is"):
            agreed("val/x", order)


def test_a_direction_is_found_in_every_order():
    for order in itertools.permutations(record(f"r{k}", DECLARED[k]) for k in (0, 4, 1)):
        assert agreed("val/x", order).metric.better == "higher"


def test_the_loss_of_records_of_before_is_known_by_its_option():
    first, own = record("a", {}), record("b", {}, loss="own")
    assert unlike([first, own, first]) == [first, own]
    assert first.declaration("loss") != own.declaration("loss") == FIRST.of("loss")

"""Declared metrics: every direction, unit and chance is data, and nothing in the sources guesses one."""

import copy
import json
import math
import pickle
import re
from pathlib import Path

import pytest

from paribus.base.errors import UserError
from paribus.base.metrics import FIRST, Key, Metric, Metrics, chance_of, is_chance, is_declaration

SOURCE = Path(__file__).parents[2] / "src"
KNOWN = Metrics([Metric("f1", "higher", "percent", "1/classes"), Metric("mse", "lower", "km²"), Metric("size")])


@pytest.mark.parametrize("metric", ["f1", "train/f1", "val/f1", "val/f1_best", "test/f1"])
def test_a_metric_has_its_declaration_whatever_part_of_the_data_it_is_of(metric):
    found = KNOWN.of(metric)
    assert found == KNOWN["f1"]
    assert KNOWN.declares(metric)
    assert KNOWN.direction("key", metric) is found.higher is True
    assert (found.mode, KNOWN.of("val/mse").mode) == ("max", "min")


def test_a_name_with_a_slash_is_found_as_it_is_written():
    known = Metrics([Metric("gan/d_loss", "lower"), Metric("val_acc", "higher"), Metric("d_loss", "higher")])
    assert known.of("gan/d_loss").better == "lower"
    assert known.of("val/d_loss").better == "higher"
    assert known.of("val_acc_best").better == "higher"


@pytest.mark.parametrize("metric", ["lr", "steps", "val/f2", "val/accuracy_loss_ratio", "", "f1/val"])
def test_what_is_not_declared_has_no_direction(metric):
    assert not KNOWN.declares(metric)
    assert KNOWN.of(metric) == Metric(metric.rsplit("/", 1)[-1])
    with pytest.raises(UserError, match=r"key must be a metric that the run measures.*task\.metrics\."):
        KNOWN.direction("key", metric)


def test_an_undeclared_metric_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"got 'val/f2'\. Did you mean val/f1"):
        KNOWN.direction("key", "val/f2")


def test_a_declared_metric_without_a_direction_says_what_to_type():
    place = Metrics([Metric("size", place="metrics.size")])
    with pytest.raises(UserError, match=r"Write \+\+metrics\.size\.better=higher"):
        place.direction("key", "val/size")
    with pytest.raises(UserError, match=r"val/size declares none\. Write \+\+task\.metrics\.size\.better=higher"):
        KNOWN.direction("key", "val/size")


def test_nan_is_never_an_improvement_and_never_remembered():
    higher, lower = KNOWN["f1"], KNOWN["mse"]
    assert higher.best([0.2, math.nan, 0.7, 0.5]) == 0.7
    assert lower.best([math.nan, 0.7, math.nan, 0.5, math.inf]) == 0.5
    assert math.isnan(lower.best([math.nan, math.nan]))
    for metric in (higher, lower):
        assert not metric.is_better(math.nan, 0.5)
        assert not metric.is_better(math.nan, math.nan)
        assert not metric.is_better(0.5, 0.5)
        assert metric.is_better(math.inf, math.nan)


def test_a_key_is_the_text_with_its_declaration():
    key = KNOWN.key("val/f1_best")
    assert (key, json.dumps([key]), {key: 1}["val/f1_best"]) == ("val/f1_best", '["val/f1_best"]', 1)
    for other in (pickle.loads(pickle.dumps(key)), copy.deepcopy(key)):
        assert (other, other.metric) == (key, KNOWN["f1"])
    assert Key("lr").metric == Metric("lr")


def test_chance_waits_for_the_number_of_classes():
    assert chance_of("1/classes", 10) == 0.1
    assert chance_of("5/classes", 4) == 1.0
    assert chance_of("log(classes)", 10) == pytest.approx(math.log(10))
    assert chance_of(0.5, None) == 0.5
    assert [chance_of("1/classes", None), chance_of("1/classes", 1), chance_of(None, 10)] == [None] * 3


@pytest.mark.parametrize("given", ["half", "classes", "-1/classes", True, math.nan, math.inf, [], {}])
def test_a_chance_is_a_number_or_one_of_two_formulas(given):
    assert not is_chance(given)
    assert not is_declaration({"better": "higher", "unit": None, "chance": given})


@pytest.mark.parametrize(
    "given", [{"better": "up"}, {"unit": ""}, {"unit": "a\nb"}, {"unit": "m" * 33}, {"unit": 3}, {"name": "acc"}]
)
def test_what_a_record_can_not_declare(given):
    assert not is_declaration(given)


def test_a_declaration_can_be_read_again():
    for metric in (*KNOWN.values(), *FIRST.values()):
        assert is_declaration(metric.declared())
        again = Metric(metric.name, **metric.declared())
        assert (again.better, again.unit, again.chance) == (metric.better, metric.unit, metric.chance)


def test_nothing_else_in_the_sources_guesses_a_direction_or_a_unit():
    """From the end of a name, from max and min as words, or by a comparison with acc."""
    guess = re.compile(
        r"""endswith\(["']/?(acc|loss|ece)|["']maximize["'] if|\bmode=["'](max|min)["']"""
        r"""|(==|!=|\bin) *\(?["'](val/|test/|train/)?acc["']"""
    )
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        for line in path.read_text().splitlines()
        if guess.search(line)
    ]
    assert [line for line in found if not line.startswith("settings.py: wanted =")] == []

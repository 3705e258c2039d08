"""The arms that a design compares."""

import pytest

from paribus.ablation.designs import arms, baseline, single_changes
from paribus.ablation.file import AblationError
from paribus.ablation.parser import parse

FACTORS = {"norm": ["batch", "layer"], "optimizer.lr": [0.1, 0.01, 0.001]}


def design(name, **rest):
    [ablation] = parse({"name": "a", "design": name, "factors": FACTORS, "seeds": 2, **rest})
    return ablation


def sets(found):
    return [dict(arm.sets) for arm in found]


def test_one_factor_changes_one_thing_at_a_time_from_the_baseline():
    found, excluded = arms(design("one_factor"))
    assert [arm.name for arm in found] == ["baseline", "norm=layer", "optimizer.lr=0.01", "optimizer.lr=0.001"]
    assert sets(found)[1] == {"norm": "layer", "optimizer.lr": 0.1}
    assert not excluded


def test_one_factor_alone_is_called_by_its_levels():
    [ablation] = parse({"name": "a", "factors": {"norm": ["batch", "layer"]}})
    assert [arm.name for arm in arms(ablation)[0]] == ["batch", "layer"]


def test_grid_has_every_combination_and_the_baseline_first():
    found, _ = arms(design("grid", baseline={"norm": "layer", "optimizer.lr": 0.01}))
    assert len({arm.name for arm in found}) == 6
    assert sets(found)[0] == {"norm": "layer", "optimizer.lr": 0.01}


def test_paired_zips_the_axes():
    found, _ = arms(design("paired", factors={"batch_size": ["b16", "b64"], "optimizer.lr": [0.1, 0.4]}))
    assert sets(found) == [{"batch_size": "b16", "optimizer.lr": 0.1}, {"batch_size": "b64", "optimizer.lr": 0.4}]


def test_leave_one_out_removes_each_trick_from_the_full_recipe_and_then_all():
    factors = {"norm": ["batch", "none"], "augmentation": ["crop_flip", "none"]}
    found, _ = arms(design("leave_one_out", factors=factors))
    assert [arm.name for arm in found] == ["full", "without norm", "without augmentation", "without all"]
    assert sets(found)[1] == {"norm": "none", "augmentation": "crop_flip"}


def test_single_changes_are_the_neighbours_of_an_assignment():
    ablation = design("path")
    assert [name for name, _ in single_changes(ablation, baseline(ablation))] == [
        *("norm=layer", "optimizer.lr=0.01", "optimizer.lr=0.001")
    ]


def test_rules_exclude_and_adapt():
    when = [
        {"if": {"norm": "layer", "optimizer.lr": [0.01, 0.001]}, "exclude": "too slow"},
        {"if": {"norm": "layer"}, "set": {"clip.norm": 1.0}},
    ]
    found, excluded = arms(design("grid", when=when))
    assert [each.reason for each in excluded] == ["too slow", "too slow"]
    assert [dict(arm.sets).get("clip.norm") for arm in found] == [None, None, None, 1.0]


def test_rules_that_contradict_each_other_are_refused():
    when = [
        {"if": {"norm": "layer"}, "set": {"clip.norm": 1.0}},
        {"if": {"optimizer.lr": 0.01}, "set": {"clip.norm": 2.0}},
    ]
    with pytest.raises(AblationError, match=r"when\[0\] and ablation.when\[1\] contradict each other"):
        arms(design("grid", when=when))
    # In a design in which they never meet they don't.
    assert len(arms(design("one_factor", when=when))[0]) == 4


def test_a_rule_that_applies_to_no_arm_is_a_mistake():
    when = [{"if": {"norm": "layer", "optimizer.lr": 0.01}, "exclude": "never"}]
    with pytest.raises(AblationError, match=r"when\[0\] matches no arm"):
        arms(design("one_factor", when=when))


def test_every_arm_is_tuned_over_equally_many_points():
    rest = {
        "factors": {"norm": ["batch", "layer"]},
        "tune": {"optimizer.lr": [0.1, 0.2, 0.3]},
        "seeds": {"tune": 1, "report": 1},
    }
    wider = [{"if": {"norm": "layer"}, "tune": {"optimizer.lr": [0.1, 0.2, 0.3, 0.4]}}]
    other = [{"if": {"norm": "layer"}, "tune": {"optimizer.lr": [0.4, 0.5, 0.6]}}]
    with pytest.raises(AblationError, match=r"same number of points.*batch: 3, layer: 4"):
        arms(design("one_factor", **rest, when=wider))
    found, _ = arms(design("one_factor", **rest, when=other))
    assert found[1].tune["optimizer.lr"].values == (0.4, 0.5, 0.6)

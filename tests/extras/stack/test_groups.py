"""The groups of runs that were planned as one job."""

import json

from paribus.extras.stack.groups import Groups


def test_groups_are_remembered_and_damage_is_no_harm(tmp_path):
    groups = Groups(tmp_path)
    groups.remember([("a", "b"), ("c",)], "terms")
    groups.remember_cut(["a", "b"], 2, True)
    known = {("a", "b"): ["a", "b"], ("c",): ["c"]}
    assert groups.known(["a", "b", "c", "d"], "terms", lambda id: False) == known
    assert groups.known(["b"], "others", lambda id: id == "b") == {("a", "b"): ["b"]}
    assert groups.known(["a", "b"], "others", lambda id: False) == {}
    assert groups.cut(["a", "b"]) == (2, True)
    [stage] = (tmp_path / "groups").glob("stage-*")
    stage.write_text(json.dumps({"groups": 3}))
    next((tmp_path / "groups").glob("cut-*")).write_text("{")
    assert groups.known(["a"], "terms", lambda id: True) == {}
    assert groups.cut(["a", "b"]) is None
    groups.forget(lambda id: True)
    assert not list((tmp_path / "groups").glob("stage-*"))


def test_a_run_is_in_the_group_that_was_planned_last(tmp_path):
    """b was planned again while another process trained a; now both are here."""
    groups = Groups(tmp_path)
    groups.remember([("a", "b")], "terms")
    groups.remember([("b", "c")], "others")
    assert groups.known("abc", "others", lambda id: True) == {("a", "b"): ["a"], ("b", "c"): ["b", "c"]}

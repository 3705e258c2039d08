"""Names that W&B would refuse are met before anything is trained; long ones of our own making stay different."""

import pytest

from paribus.base.errors import UserError
from paribus.config.composed import Composed
from paribus.extras.wandb.limits import accepted, check_project, check_run, labels, shortened

LOGGER = {"wandb": {"_target_": "paribus.extras.wandb.logger.wandb_logger", "project": "paribus", "entity": None}}


def test_labels_of_an_arm():
    found = labels("abc", "norm", "batch", 3, ["a", "b", "a"])
    assert (found.id, found.name, found.group, found.job_type) == ("abc", "batch seed 3", "norm", "batch")
    assert found.tags == ("a", "b")
    assert labels("abc", None, None, 0, []).name == "abc seed 0"


@pytest.mark.parametrize("tag", ["", "x" * 65, " a"])
def test_tags_are_refused_and_never_changed(tag):
    with pytest.raises(UserError, match="1 to 64 characters"):
        labels("abc", None, None, 0, [tag])


def test_long_names_are_cut_to_the_limits_and_stay_different():
    arms = [f"optimizer.lr=0.1, {'norm=batch, ' * 20}seed {k}" for k in range(3)]
    found = [labels("abc", arm, arm, 12345, []) for arm in arms]
    assert all(len(each.name) <= 128 and each.name.endswith("seed 12345") for each in found)
    assert all(len(each.group) <= 128 and len(each.job_type) <= 64 for each in found)
    for names in zip(*((each.name, each.group, each.job_type) for each in found), strict=True):
        assert len(set(names)) == 3
    assert shortened("short", 64) == "short"


@pytest.mark.parametrize("project", ["", "a/b", "a:b", "x" * 129, "\x1b[31m", "a\nb"])
def test_projects(project):
    with pytest.raises(UserError, match=r"logger\.wandb\.project"):
        check_project(project, None)
    check_project("paribus", "my team")


def test_a_run_is_checked_if_it_logs_to_wandb(compose):
    config = {**compose(), "tags": ["x" * 65]}
    check_run("abc", Composed({**config, "logger": {}}, {}).run, "norm", "batch")
    with pytest.raises(UserError, match="got one of 65"):
        check_run("abc", Composed({**config, "logger": LOGGER}, {}).run, "norm", "layer")


def test_numbers_that_wandb_would_drop_keep_their_names():
    assert accepted({"a": float("nan"), "b": -float("inf"), "c": 1.5, "d": "x"}) == {
        "a": "nan",
        "b": "-inf",
        "c": 1.5,
        "d": "x",
    }

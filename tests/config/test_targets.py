"""Public names: complete, importable, and one thing under each."""

import functools
import importlib
import re
from pathlib import Path

import pytest

from paribus.config import config_dir, targets
from paribus.config.identity import run_id
from paribus.config.targets import TARGETS, Target, hashed_name, import_path, is_observer, known, public_name
from paribus.run.instantiate import instantiate

NAMED = sorted(
    {
        name
        for path in config_dir().rglob("*.yaml")
        for name in re.findall(r"_target_: *(\S+)", path.read_text())
        if not name.startswith(("hydra_plugins.", "optuna."))  # of the command, and no part of a run
    }
)


def located(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("target", NAMED)
def test_every_target_that_conf_names_has_a_row(target):
    assert known(target), f"{target} needs a row in {targets.__file__}"


def is_there(row):
    """Whether the extra that a row names has not been deleted, and the tasks are there."""
    if row.path.startswith("paribus.tasks.") and not (Path(targets.__file__).parents[1] / "tasks").exists():
        return False
    extra = row.path.split(".")[2] if row.path.startswith("paribus.extras.") else None
    return extra is None or (Path(targets.__file__).parents[1] / "extras" / extra).exists()


@pytest.mark.parametrize("name", [name for name, row in TARGETS.items() if is_there(row)])
def test_the_paths_of_a_row_lead_to_one_thing(name):
    row = TARGETS[name]
    thing = located(row.path)
    for path in (row.path, *row.also):
        assert located(path) is thing
    for path in (row.path, *row.also, *row.was):
        assert public_name(path) == name
    assert name.rsplit(".", 1)[-1] in (row.path.rsplit(".", 1)[-1], row.path.rsplit(".", 1)[-1].removesuffix("_logger"))


def test_no_path_belongs_to_two_names():
    paths = [path for name, row in TARGETS.items() for path in {name, row.first, row.path, *row.also, *row.was}]
    assert len(paths) == len(set(paths))


def test_a_public_name_and_any_import_path_are_one_run(compose):
    ids = {
        run_id(compose(f"optimizer._target_={target}", "norm.activation._target_=paribus.norm.batch"))
        for target in ("torch.optim.SGD", "torch.optim.sgd.SGD")
    }
    assert ids == {run_id(compose())}
    assert run_id(compose("optimizer._target_=torch.optim.ASGD")) not in ids


def test_a_public_name_is_built_like_an_import_path_also_within_a_node(tmp_path, monkeypatch):
    from paribus.techniques.schedules import Cosine

    assert isinstance(instantiate("scheduler", {"_target_": "paribus.scheduler.Cosine"}), Cosine)
    (tmp_path / "ownholder.py").write_text("def keep(inner):\n    return {'inner': inner}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    holder = {"_target_": "ownholder.keep", "inner": {"_target_": "paribus.scheduler.Cosine"}}
    assert isinstance(instantiate("x", holder)["inner"], Cosine)


def test_a_file_can_move_and_old_configs_still_name_what_was_in_it(monkeypatch, compose):
    before = run_id(compose("scheduler=cosine"))
    moved = Target("old.place.Cosine", at="paribus.techniques.schedules.Cosine", also=("between.Cosine",))
    monkeypatch.setattr(targets, "TARGETS", {"paribus.scheduler.Cosine": moved})
    paths = ("paribus.scheduler.Cosine", "old.place.Cosine", "between.Cosine", "paribus.techniques.schedules.Cosine")
    monkeypatch.setattr(targets, "_NAMES", dict.fromkeys(paths, "paribus.scheduler.Cosine"))
    assert {hashed_name(path) for path in paths} == {"old.place.Cosine"}
    assert {import_path(path) for path in paths} == {"paribus.techniques.schedules.Cosine"}
    ids = {run_id(compose("scheduler=cosine", f"scheduler._target_={path}")) for path in paths}
    assert len(ids) == 1
    assert ids != {before}  # the first path is what counts: a row must not change it


def test_a_strangers_target_is_its_path():
    assert public_name("mine.Net") == hashed_name("mine.Net") == import_path("mine.Net") == "mine.Net"
    assert known("mine.Net") is None
    assert known(None) is known({}) is None


def test_a_second_version_is_another_run(monkeypatch, compose):
    name, before = "paribus.optimizer.Shampoo", {o: run_id(compose(f"optimizer={o}")) for o in ("shampoo", "adam")}
    row = TARGETS[name]
    monkeypatch.setattr(targets, "TARGETS", {**TARGETS, name: Target(row.first, version=row.version + 1)})
    assert run_id(compose("optimizer=shampoo")) != before["shampoo"]
    assert run_id(compose("optimizer=adam")) == before["adam"]


def test_observers_are_known_by_their_class_and_hold_no_code_of_others():
    sharpness = functools.partial(dict, _target_="paribus.extras.curvature.sharpness.Sharpness")
    assert is_observer(sharpness(every=10))
    assert not is_observer(sharpness(every={"_target_": "mine.Every"}))
    assert not is_observer(sharpness(every=[{"_target_": "mine.Every"}]))
    assert not is_observer({"_target_": "mycb.Zero"})
    assert not is_observer({"_target_": "paribus.run.callbacks.ema.EMA"})
    assert not is_observer({})
    assert not is_observer(None)

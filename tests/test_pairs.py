"""All pairs of options train: real epochs on a few digits, for every pair of choices of seven groups.

A pair that can't work must fail before training, with an error that names both choices and the remedy.
"""

import math

import pytest
from allpairspy import AllPairs
from networks import OF_NUMBERS
from omegaconf import OmegaConf

from paribus.base.errors import UserError
from paribus.config import config_dir
from paribus.config.composer import Composer
from paribus.run.execute import execute
from paribus.run.targets import locate
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.techniques.losses import Loss


def options(group):
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def loss_of(name):
    return locate("loss", OmegaConf.load(config_dir() / "loss" / f"{name}.yaml")["_target_"])


GROUPS = {
    "optimizer": options("optimizer"),
    "scheduler": options("scheduler"),
    "norm": [*(name for name in options("norm") if name != "own"), "[batch,weight]", "[layer,spectral]"],
    "model": OF_NUMBERS,  # those of tokens: tests/run/test_language.py
    "loss": [name for name in options("loss") if issubclass(loss_of(name), Loss)],  # the others are of regression
    "augmentation": options("augmentation"),
    "batch_size": ["b1", "b8", "b16", "full"],
}
# Large networks in small: the same code, fewer and narrower layers.
SLIM = {
    "mlp": ["model.width=16"],
    "cnn": ["model.widths=[8,8]"],
    "resnet20": ["model.blocks=[1,1,1]", "model.widths=[8,8,16]"],
    "resnet56": ["model.blocks=[2,1,1]", "model.widths=[8,8,8]"],
    "resnet18": ["model.blocks=[1,1,1,1]", "model.widths=[8,8,8,8]"],
    "resnet50": ["model.blocks=[1,1,1,1]", "model.widths=[8,8,8,8]"],
    "vit_tiny": ["model.depth=1", "model.width=24"],
    "vit_small": ["model.depth=1", "model.width=24"],
}
CASES = [dict(zip(GROUPS, case, strict=True)) for case in AllPairs(list(GROUPS.values()))]
BATCH_STATISTICS = ("batch", "sync_batch", "batch_renorm", "[batch,weight]")


def impossible(case):
    """What the error must name, for the combinations that can't work."""
    if case["model"] == "mlp" and case["norm"] == "instance":
        return ["model=mlp", "norm=instance", "Use norm="]
    # One sample of a vector has no variance; a map has one of its own, unless it has shrunk to a point.
    if case["model"] == "mlp" and case["norm"] in BATCH_STATISTICS and case["batch_size"] == "b1":
        return ["model=mlp", "norm=batch", "on a batch of 1", "Use a larger batch"]
    return None


# An eighth of them is tried every time, with each option several times; all of them by `make test-slow`.
CHOSEN = [pytest.param(case, marks=() if k % 8 == 0 else pytest.mark.slow) for k, case in enumerate(CASES)]


@pytest.fixture(scope="module")
def composer():
    return Composer()


@pytest.mark.parametrize("case", CHOSEN, ids=["-".join(case.values()) for case in CASES])
def test_a_pair_trains_or_says_why_not(case, tmp_path, composer):
    overrides = [f"{group}={option}" for group, option in case.items()]
    small = ["data.subset=20", "data.validation=20", "budget.epochs=1", "callbacks=[none]", "trainer.threads=1"]
    run = composer([*overrides, *SLIM.get(case["model"], []), *small, f"paths.outputs={tmp_path}"]).run
    store = Store(tmp_path)
    record = Record(id=run.id, status="running", seed=0, provenance={"hardware": {}})
    reasons = impossible(case)
    if reasons is not None:
        with pytest.raises(UserError) as caught:
            execute(run, record, store)
        for reason in reasons:
            assert reason in str(caught.value)
        assert not store.run_dir(record.id).exists()
        return
    record = execute(run, record, store)
    assert record.status == "done", record.failure
    assert record.timing["steps"] == {"b1": 20, "b8": 3, "b16": 2, "full": 1}[case["batch_size"]]
    assert all(math.isfinite(value) for key, value in record.metrics.items() if "ece" not in key)
    assert 0.0 <= record.metrics["test/acc"] <= 1.0


def test_the_cases_contain_every_pair():
    from itertools import combinations

    wanted = {((a, x), (b, y)) for a, b in combinations(GROUPS, 2) for x in GROUPS[a] for y in GROUPS[b]}
    covered = {((a, case[a]), (b, case[b])) for case in CASES for a, b in combinations(GROUPS, 2)}
    assert wanted <= covered

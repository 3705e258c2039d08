"""Sweeps that train their runs in stacks."""

import json

import pytest

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2", "trainer.threads=1"]


def records(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("outputs/runs/*/record.json")]
    return {record["id"]: record for record in found}


def test_a_sweep_is_stacked_and_its_records_are_those_of_single_runs(paribus, tmp_path):
    sweep = ["train", "-m", *QUICK, "optimizer=sgd,adam", "scheduler=cosine,plateau", "seed=range(2)"]
    sweep += ["hydra.launcher.slots=1"]  # a stack for each slot
    result = paribus(*sweep)
    assert result.code == 0, result.err
    found = records(tmp_path)
    assert len(found) == 8
    assert sorted(record["timing"].get("stack", 1) for record in found.values()) == [1, 1, 1, 1, 4, 4, 4, 4]
    assert {record["arm"] for record in found.values()} == {
        f"optimizer={optimizer}, scheduler={scheduler}"
        for optimizer in ("sgd", "adam")
        for scheduler in ("cosine", "plateau")
    }
    assert {record["ablation"] for record in found.values()} == {"optimizer x scheduler"}
    assert "8 done, 0 to train" in paribus(*sweep).err

    one = next(record for record in found.values() if record["timing"].get("stack"))
    assert "members" not in one["provenance"]["command"]
    evaluated = paribus("evaluate", one["id"])
    assert evaluated.code == 0, evaluated.err
    assert evaluated.out.count("as recorded") == 3


@pytest.mark.needs("curvature")
def test_runs_that_are_measured_go_alone_and_the_plan_says_why(paribus, tmp_path):
    probes = ["callbacks=[default,sharpness,plateau]", "callbacks.sharpness.every=3", "callbacks.sharpness.share=null"]
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# @package _global_\n"
        + json.dumps({"ablation": {"name": "mine", "factors": {"optimizer": ["sgd", "adam"]}, "seeds": 1}})
    )
    planned = paribus("plan", "ablation=mine", *QUICK, *probes)
    assert planned.code == 0, planned.err
    assert "2 alone: callbacks.sharpness: it measures a single network" in planned.out
    result = paribus("train", "-m", *QUICK, *probes, "optimizer=sgd,adam")
    assert result.code == 0, result.err
    found = records(tmp_path)
    assert len(found) == 2
    for record in found.values():
        assert "stack" not in record["timing"]
        assert record["metrics"]["sharpness"] > 0
        assert record["metrics"]["plateau/grad_norm"] > 0


def test_stack_off_trains_the_same_runs_one_by_one(paribus, tmp_path):
    assert paribus("train", "-m", *QUICK, "seed=range(3)", "stack=off").code == 0
    alone = records(tmp_path)
    assert all("stack" not in record["timing"] for record in alone.values())
    assert "3 done, 0 to train" in paribus("train", "-m", *QUICK, "seed=range(3)", "stack=3").err


def test_a_member_that_can_not_work_is_named_once_and_the_others_train(paribus, tmp_path):
    result = paribus("train", "-m", *QUICK, "optimizer.lr=0.1,-1,0.2", "hydra.sweeper.on_invalid=skip")
    assert result.code == 0, result.err
    assert result.err.count("optimizer.lr must be a number of at least 0") == 1
    assert {record["status"] for record in records(tmp_path).values()} == {"done"}
    assert len(records(tmp_path)) == 2


def test_a_mistake_in_stack_is_said(paribus):
    result = paribus("train", "-m", *QUICK, "seed=0,1", "stack=many")
    assert result.code == 2
    assert "got 'many'. Try stack=1" in result.err


def test_a_missing_list_of_members_is_a_message(paribus):
    result = paribus("train", *QUICK, "members=nowhere.json")
    assert result.code == 2
    assert "Run the sweep again" in result.err


STRANGER = """
import torch
from paribus.models.dense import MLP


class Masked(MLP):
    def __init__(self, shape, num_outputs, norm=None, width=8):
        super().__init__(shape, num_outputs, norm, width=width)
        self.mask = (torch.rand(num_outputs) < 0.5).float()

    def forward(self, x):
        if FAILS and x.device.type != "meta" and self.mask[0] > 0:
            raise ValueError("this seed does not work")
        return super().forward(x) * self.mask


FAILS = False
"""


def test_a_stranger_s_network_that_can_not_be_stacked_trains_as_with_stack_off(paribus, tmp_path, monkeypatch):
    """A mask for each seed, kept as an attribute. The plan says why such runs go alone."""
    (tmp_path / "masked.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = [item for item in QUICK if item != "model.width=8"]
    sweep = [*line, "~model.depth", "~model.activation", "model._target_=masked.Masked", "seed=range(4)"]
    assert paribus("train", "-m", *sweep, "stack=off", "paths.outputs=alone").code == 0
    result = paribus("train", "-m", *sweep, "stack=4", "hydra.launcher.slots=1")
    assert result.code == 0, result.err
    assert "4 runs are trained one by one: masked.Masked: the network.mask is a tensor" in result.err
    alone = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("alone/runs/*/record.json")}
    assert {id: record["metrics"] for id, record in records(tmp_path).items()} == {
        id: record["metrics"] for id, record in alone.items()
    }


def test_each_member_of_a_stack_that_could_not_begin_has_its_own_result(paribus, tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(STRANGER.replace("FAILS = False", "FAILS = True"))
    monkeypatch.syspath_prepend(str(tmp_path))
    line = [item for item in QUICK if item != "model.width=8"]
    sweep = [*line, "~model.depth", "~model.activation", "model._target_=failing.Masked", "seed=range(4)", "stack=4"]
    result = paribus("train", "-m", *sweep)
    assert result.code == 1
    found = {record["seed"]: record for record in records(tmp_path).values()}
    assert {record["status"] for record in found.values()} == {"done", "failed"}
    assert len(found) == 4
    for record in found.values():
        if record["status"] == "failed":
            assert record["failure"] == {"type": "bug", "message": "ValueError: this seed does not work"}

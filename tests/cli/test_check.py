"""`paribus check`: what it finds out about options of a user, each with its remedy, and its exit code."""

import json

import pytest

SMALL = ("data.subset=60", "data.batch_size=20", "data.validation=40")
NETS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_outputs, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, num_outputs)

    def forward(self, x):
        return self.head(self.body(x))


class Output:
    def __init__(self, logits):
        self.logits = logits


class LikeHuggingFaces(Net):
    def forward(self, x):
        return Output(super().forward(x))


class Counts(Net):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (1 + 0.01 * self.calls)


class IgnoresNorm(nn.Module):
    def __init__(self, num_outputs, norm):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, num_outputs))

    def forward(self, x):
        return self.net(x)
"""
OPTIONS = {
    "model/hf": "_target_: mynets.LikeHuggingFaces",
    "model/counts": "_target_: mynets.Counts",
    "model/ignores": "_target_: mynets.IgnoresNorm",
    "model/takes": "defaults: [mlp]\nwidth: 8",
    "loss/bad": "_target_: torch.nn.BCELoss",
    "optimizer/high": "{_target_: torch.optim.SGD, lr: 1e30}",
    "optimizer/sgd": "{_target_: torch.optim.SGD, lr: 0.1}",
    "scheduler/follows": "{_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, patience: 1}",
    "ablation/mine": "# @package _global_\nablation: {name: mine, factors: {optimizer.lr: [0.1, 0.2]}, seeds: 1}",
    "data/broken": "defaults: [digits]\nvalidatoin: 3",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mynets.py").write_text(NETS)
    for name, text in OPTIONS.items():
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return tmp_path


@pytest.mark.needs("stack")
def test_each_option_is_tried_and_what_fails_has_its_remedy(paribus, project):
    result = paribus("check", *SMALL, "--json")
    assert result.code == 2
    assert "error: 6 of 10 options can't be used as they are: data/broken, loss/bad" in result.err
    found = {f"{each['group']}/{each['option']}": each for each in json.loads(result.out)}
    assert list(found) == sorted(OPTIONS)
    steps = {name: [*each["steps"].values()] for name, each in found.items()}
    assert steps["model/hf"] == ["yes", "yes", "yes", "yes", "yes", "1 replaced"]
    assert steps["model/takes"] == ["yes", "yes", "yes", "yes", "yes", "given"]
    assert steps["model/counts"][:4] == ["yes", "yes", "yes", "no"]
    assert steps["model/ignores"] == ["yes", "yes", "yes", "yes", "yes", "no"]
    assert steps["scheduler/follows"] == ["yes", "yes", "yes", "yes", "alone"]
    assert steps["ablation/mine"] == ["yes", "yes", "yes", "yes", "yes"]
    assert (steps["optimizer/high"], steps["loss/bad"]) == (["yes", "yes", "no"], ["yes", "no"])
    assert steps["data/broken"] == steps["optimizer/sgd"] == ["no"]
    said = {name: " ".join([*each["faults"].values(), *each["remarks"].values()]) for name, each in found.items()}
    assert "Keep what the code counts in buffers (register_buffer)" in said["model/counts"]
    assert "takes an argument norm and does not use it" in said["model/ignores"]
    assert "follows its own validation loss" in said["scheduler/follows"]
    assert "smaller learning rate" in said["optimizer/high"]
    assert "Hydra would take the first and hide the other. Give" in said["optimizer/sgd"]
    assert "validatoin" in said["data/broken"]
    assert said["model/hf"] == said["ablation/mine"] == ""
    assert not (project / "outputs").exists()


@pytest.mark.needs("stack")
def test_the_table_and_the_exit_code_of_what_works(paribus, project):
    result = paribus("check", "conf/scheduler/follows.yaml", *SMALL)
    assert result.code == 0, result.err
    head, row, remark = result.out.splitlines()
    assert head.split() == ["option", "composes", "builds", "trains", "resumes", "stacks", "norm"]
    assert row.split() == ["scheduler/follows", "yes", "yes", "yes", "yes", "alone", "-"]
    assert remark.startswith("conf/scheduler/follows.yaml stacks: scheduler=reducelronplateau")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["conf/model/none.yaml"], "conf/model/none.yaml does not exist"),
        (["mynets.py"], "options lie in the folder conf"),
        (["conf/ablation", "other"], "other does not exist"),
    ],
)
def test_files_that_are_no_options_are_named(paribus, project, words, said):
    result = paribus("check", *words)
    assert result.code == 2
    assert said in result.err

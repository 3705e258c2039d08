"""AGENTS.md: a whole study with nothing but its commands and their JSON, and the exit codes that it promises."""

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "AGENTS.md").read_text(encoding="utf-8")
ABLATION = """# @package _global_
defaults:
  - override /data: digits
  - override /model: mlp
model: {width: 16}
data: {subset: 200}
budget: {updates: 30}
ablation:
  name: mine
  factors: {norm: [none, batch]}
  seeds: {report: 4}
  smallest_effect: 0.01
  hypotheses:
    - {id: mine-1, claim: batch norm tests better, arm: {norm: batch}, versus: {norm: none}}
"""

LATE = """import math

import torch


class Net(torch.nn.Module):
    def __init__(self, shape, num_outputs):
        super().__init__()
        self.head = torch.nn.Linear(math.prod(shape), num_outputs)
        self.steps = 0

    def forward(self, x):
        self.steps += 1
        if self.steps > 15:
            raise RuntimeError("too late")
        return self.head(x.flatten(1))
"""


@pytest.fixture
def study(paribus, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(ABLATION)
    return paribus


def test_the_study_of_the_page(study, tmp_path):
    [block] = re.findall(r"(?m)(?:^    paribus .*\n)+", PAGE)
    lines = [line.split("#")[0].split() for line in block.replace("NAME", "mine").splitlines()]
    said = {}
    for _, *words in lines:
        result = study(*words)
        assert result.code == 0, result.err
        said[words[0], "--json" in words] = json.loads(result.out) if "--json" in words else result.out
    assert all(each["wrong"] == "" for each in said["doctor", True])
    [plan] = said["plan", True]["plans"]
    assert {run["status"] for runs in plan["arms"].values() for run in runs} == {"missing"}
    assert len(said["plan", True]["to_train"]) == 8
    assert plan["registration"]["now"]["content"]["smallest_effect"] == 0.01
    [regime] = said["status", True]
    assert [arm["report"] for arm in regime["arms"].values()] == [{"done": 4}] * 2
    table = said["table", True]
    assert {line["n"] for line in table["arms"]} == {4}
    [verdict] = table["verdicts"]
    assert verdict["outcome"] in PAGE
    assert verdict["regimes"][0]["low"] < verdict["regimes"][0]["high"]
    checked = json.loads(study("verify", "table.tex", "--json").out)
    assert sum(each["numbers"] for each in checked) > 0
    assert [each["drift"] for each in checked] == [[]] * len(checked)


def test_its_exit_codes(study, commands, tmp_path):
    assert study("plan", "ablation=mien", "--json").code == 2
    (tmp_path / "late.py").write_text(LATE)
    (tmp_path / "conf" / "model").mkdir()
    (tmp_path / "conf" / "model" / "late.yaml").write_text("_target_: late.Net\n")
    sweep = ("train", "-m", "model=late", "norm=none", "data.subset=200", "budget.updates=30", "seed=0,1")
    failed = commands.run(tmp_path, *sweep)
    assert failed.code == 1, failed.out
    assert "2 runs failed; the same command tries them again:" in failed.out


@pytest.mark.parametrize("outcome", ["SUPPORTED", "POSITIVE", "NEGLIGIBLE", "REVERSED", "INCONCLUSIVE", "CONDITIONAL"])
def test_every_outcome_is_explained(outcome):
    assert f"  - {outcome}: " in PAGE

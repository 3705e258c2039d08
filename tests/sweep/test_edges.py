"""Arms whose best value lies at an edge are named when all are tuned, before they are reported."""

from paribus.ablation.cells import Plan, Tuned
from paribus.sweep.sweep import at_edges

ABLATION = """# @package _global_
defaults:
  - override /model: mlp
model: {width: 8}
data: {subset: 100}
budget: {updates: 5}
ablation:
  name: mine
  factors: {norm: [none, layer]}
  tune: {optimizer.lr: [0.00001, 0.0001, 0.001]}
  seeds: {tune: 1, report: 2}
"""


def test_the_line_names_arms_and_keys():
    tuned = {"a": Tuned({"lr": 1}, 0.5, ("lr",)), "b": Tuned({"lr": 2}, 0.5, ()), "c": Tuned({}, 0.5, ("lr", "decay"))}
    assert "what was tried for a (lr); c (lr, decay). To try more" in at_edges(Plan("mine", tuned=tuned))
    assert at_edges(Plan("mine", tuned={"b": tuned["b"]})) == ""


def test_it_is_said_once_between_tuning_and_reporting(paribus, tmp_path):
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(ABLATION)
    result = paribus("train", "-m", "ablation=mine")
    assert result.code == 0, result.err
    lines = result.err.splitlines()
    [place] = [number for number, line in enumerate(lines) if "the best value lies at the edge" in line]
    assert "(optimizer.lr)" in lines[place]
    assert "6 done" in lines[place - 1]  # of both arms' tuning
    assert not any("the best value" in line for line in paribus("train", "-m", "ablation=mine").err.splitlines())

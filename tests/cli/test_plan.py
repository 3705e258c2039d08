"""`paribus plan`: what there is to train, and how long it takes."""

import json

import pytest

from paribus.ablation.command import plan_command
from paribus.base.durations import duration
from paribus.config.chosen import chosen
from paribus.evidence.estimate import Costs
from paribus.store.record import Record
from paribus.store.store import Store

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1"]


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "conf" / "ablation"
    folder.mkdir(parents=True)

    def write(section):
        (folder / "mine.yaml").write_text(
            "# @package _global_\n" + json.dumps({"ablation": {"name": "mine", **section}})
        )

    return write


def recorded(cell, seconds, **metrics):
    """The record of a finished run of a planned cell."""
    return Record(
        cell.id,
        "done",
        seed=cell.seed,
        choices=chosen(cell.run, cell.choices, cell.overrides),
        comparable=cell.run.comparable(),
        metrics=metrics,
        timing={"total_seconds": seconds},
    )


def test_every_arm_is_listed_with_its_runs_and_what_can_not_be(paribus, mine):
    mine(
        {
            "design": "grid",
            "factors": {"norm": ["batch", "none"], "data.batch_size": [32, 64, -1]},
            "when": [{"if": {"norm": "none", "data.batch_size": 64}, "exclude": "diverges"}],
            "seeds": 2,
        }
    )
    result = paribus("plan", "ablation=mine", "model=mlp")
    assert result.code == 0, result.err
    assert "norm=batch, data.batch_size=32  2 missing" in result.out
    assert "excluded: norm=none, data.batch_size=64: diverges" in result.out
    assert "can't work: norm=batch, data.batch_size=-1: data.batch_size must be a whole number" in result.out
    assert "3 arms, 6 runs, 0 done, 6 to train" in result.out
    assert "time unknown for 6 runs; add --measure" in result.out


def test_the_estimate_is_of_runs_like_the_missing_ones(paribus, mine, tmp_path):
    mine({"factors": {"optimizer": ["momentum", "adam"]}, "seeds": 3})
    command = ["ablation=mine", "model=mlp"]
    estimate = json.loads(paribus("plan", *command, "--json").out)["estimate"]
    assert (estimate["seconds"], estimate["runs_unknown"]) == (None, 6)
    [plan] = plan_command(command, lambda id: None)
    cell = plan.arms["momentum"][0]
    Store(tmp_path / "outputs").write(recorded(cell, 10.0))
    content = json.loads(paribus("plan", *command, "--json").out)
    assert len(content["to_train"]) == content["estimate"]["runs_known"] == 5
    assert content["estimate"]["seconds"] == pytest.approx(5 * 10.0 / content["estimate"]["slots"])


def test_runs_on_gpus_are_counted_by_gpus_and_those_of_a_cluster_by_its_launcher(paribus, mine, monkeypatch):
    mine({"factors": {"optimizer": ["momentum", "adam"]}, "seeds": 3})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setattr(
        "paribus.sweep.gpus.instances", lambda: {each: () for number in "012" for each in (number, number * 9)}
    )

    def slots(*line):
        return json.loads(paribus("plan", "ablation=mine", "model=mlp", *line, "--json").out)["estimate"]["slots"]

    assert slots("hydra.launcher.slots=7") == 7
    assert slots("trainer=gpu") == 3
    assert slots("trainer=ddp") == 1
    assert slots("hydra/launcher=submitit_slurm", "hydra.launcher.array_parallelism=40", "trainer=gpu") == 40


def test_tuning_is_shown_with_its_winner_and_a_warning_at_the_edge(paribus, mine, tmp_path):
    mine(
        {
            "factors": {"norm": ["batch", "none"]},
            "tune": {"optimizer.lr": [0.01, 0.1, 1.0]},
            "seeds": {"tune": 1, "report": 2},
        }
    )
    command = ["ablation=mine", "model=mlp"]
    [plan] = plan_command(command, lambda id: None)
    assert not plan.complete
    assert len(plan.tuning) == 6
    store = Store(tmp_path / "outputs")
    for cell in plan.tuning:
        rate = cell.run.optimizer["lr"]
        store.write(recorded(cell, 1.0, **{"val/acc": 0.9 if rate == 1.0 else 0.5}))
    result = paribus("plan", *command)
    assert "batch  2 missing; tuning: 3 done; best: optimizer.lr=1.0 (WARNING: optimizer.lr at the edge" in result.out


def test_runs_of_regimes_that_coincide_are_counted_as_shared(paribus, mine):
    mine({"factors": {"norm": ["batch", "none"]}, "seeds": 2, "regimes": {"F": {}, "S": {"set": {"clip.norm": None}}}})
    result = paribus("plan", "ablation=mine", "model=mlp")
    assert result.out.count("4 shared with another plan") == 2
    assert "4 of 4 runs to train" in result.out


def test_a_second_of_training_tells_the_time_where_no_record_does(paribus, tmp_path):
    result = paribus("plan", *QUICK, "seed=range(4)", "--measure", "--json")
    assert result.code == 0, result.err
    estimate = json.loads(result.out)["estimate"]
    assert estimate["runs_unknown"] == 0
    assert 0 < estimate["seconds"] < 600
    assert not (tmp_path / "outputs" / "runs").exists()


def test_costs_prefer_the_same_options_to_like_ones_and_know_nothing_of_others():
    [plan] = plan_command(["optimizer=momentum,adam,soap", "model=mlp"], lambda id: None)
    [other] = plan_command(["optimizer=adam", "model=linear"], lambda id: None)
    momentum, adam, soap = plan.cells
    costs = Costs([recorded(momentum, 1.0), recorded(soap, 9.0)])
    assert [costs.of(cell) for cell in (momentum, soap)] == [1.0, 9.0]
    assert costs.of(adam) == 5.0  # the median of runs of the same network
    assert costs.of(other.cells[0]) is None


def test_durations_read_well():
    assert [duration(s) for s in (0.4, 61, 3600 * 3 + 605)] == ["0 s", "1 min 1 s", "3 h 10 min"]


def test_a_mistake_is_one_message(paribus, mine):
    mine({"factors": {"norm": ["batch", "bacth"]}})
    result = paribus("plan", "ablation=mine")
    assert result.code == 2
    assert result.err.startswith("error: conf/ablation/mine.yaml: ablation.factors.norm: norm=bacth is not an option")

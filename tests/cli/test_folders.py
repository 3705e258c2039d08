"""Folders and names in which people work: any name is allowed, and every command looks in the same folder."""

import json

import pytest

QUICK = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.updates=2", "trainer.threads=1"]


def write(folder, name, content):
    path = folder / "conf" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# @package _global_\n" + json.dumps(content, ensure_ascii=False), encoding="utf-8")


def records(folder):
    return [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("runs/*/record.json")]


@pytest.mark.needs("stack")  # whose lists of members have such names, too
def test_names_beyond_ascii_and_a_folder_full_of_syntax(paribus, tmp_path, monkeypatch):
    here = tmp_path / 'zo\'é "a", b=c $x #1 \\n {归} ${seed}'
    here.mkdir()
    monkeypatch.chdir(here)
    write(here, "ablation/归一化", {"ablation": {"name": "归一化", "factors": {"norm": ["batch", "none"]}, "seeds": 2}})
    result = paribus("train", "-m", "ablation=归一化", *QUICK)
    assert result.code == 0, result.err
    found = records(here / "outputs")
    assert {record["ablation"] for record in found} == {"归一化"}
    assert {record["timing"].get("stack") for record in found} == {2}
    assert "4 runs: 4 done" in paribus("runs", "ablation=归一化").out
    assert paribus("table", "ablation=归一化", *QUICK, "-o", "表.md").code == 0
    assert paribus("verify", "表.md").code == 0
    assert "Did you mean 归一化?" in paribus("plan", "ablation=归一").err


def test_an_arm_of_a_plain_sweep_is_called_by_its_value(paribus, tmp_path):
    (tmp_path / "conf" / "norm").mkdir(parents=True)
    for name, norm in {"é": "null", "two words": "{_target_: paribus.norm.layer}"}.items():
        (tmp_path / "conf" / "norm" / f"{name}.yaml").write_text(f"# @package norm\nactivation: {norm}\nweight: null\n")
    planned = paribus("plan", *QUICK, "norm=é,'two words'")
    assert planned.code == 0, planned.err
    assert "  é " in planned.out
    assert "  two words " in planned.out


@pytest.fixture
def elsewhere(tmp_path):
    """A user whose conf/local puts the outputs somewhere else."""
    (tmp_path / "conf" / "local").mkdir(parents=True)
    (tmp_path / "conf" / "local" / "default.yaml").write_text(
        "# @package _global_\npaths: {outputs: '${oc.env:PARIBUS_TEST_ROOT,else}/where'}\n"
    )
    return tmp_path / "else" / "where"


def test_every_command_looks_where_training_writes(paribus, tmp_path, elsewhere):
    assert paribus("train", "-m", *QUICK, "norm=batch,none").code == 0
    [first, _] = sorted(record["id"] for record in records(elsewhere))
    assert not (tmp_path / "outputs").exists()
    assert "2 runs: 2 done" in paribus("runs").out
    assert "batch" in paribus("table").out
    assert "2 done, 0 to train" in paribus("plan", *QUICK, "norm=batch,none").out
    assert paribus("evaluate", first).code == 0
    assert paribus("export", "-o", "all.csv").code == 0
    assert paribus("report").code == 0
    assert "0 runs" in paribus("runs", "paths.outputs='other place'").out
    assert "there is no sweep in other place" in paribus("table", "paths.outputs=other place").err


def test_a_file_of_an_ablation_may_say_where_its_runs_go(paribus, tmp_path):
    write(tmp_path, "ablation/mine", {
        "paths": {"outputs": "mine"}, "ablation": {"name": "mine", "factors": {"norm": ["batch", "none"]}, "seeds": 1},
    })  # fmt: skip
    assert paribus("train", "-m", "ablation=mine", *QUICK).code == 0
    assert len(records(tmp_path / "mine")) == 2
    assert "2 of 2 runs" in paribus("status", "ablation=mine", *QUICK).out.replace("2 done", "2 of 2 runs")
    assert "all 2 runs are done" in paribus("plan", "ablation=mine", *QUICK).out


def test_axes_of_a_file_are_swept_and_planned(paribus, tmp_path):
    write(tmp_path, "experiment/mine", {"hydra": {"sweeper": {"params": {"seed": "0,1", "norm": "batch,none"}}}})
    write(tmp_path, "experiment/other", {"clip": {"norm": 1.0}})
    line = [*QUICK, "experiment=glob(*,exclude=[vit*,exam*])", "seed=range(3)"]
    planned = paribus("plan", *line)
    assert planned.code == 0, planned.err
    assert "experiment x norm: 3 arms, 9 runs" in planned.out  # the command line's seeds, not the file's
    assert "2 arms, 4 runs" in paribus("plan", *QUICK, "experiment=mine").out
    assert paribus("train", "-m", *QUICK, "experiment=mine").code == 0
    assert len(records(tmp_path / "outputs")) == 4
    assert paribus("train", "-m", "hydra.sweeper.nope=1").code == 2
    swept = paribus("train", "-m", *QUICK, "+hydra.sweeper.params.seed='2,3'", "norm=none")
    assert "2 to train" in swept.err, swept.err

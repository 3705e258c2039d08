"""Folders of lightning-hydra-template become records; whatever is odd about one is said."""

import csv
import shutil

import pytest
import yaml
from hydra_template import job, multirun

from paribus.base.errors import UserError
from paribus.extras.exchange.hydra_runs import adopt_hydra


def notes(adoption, about):
    return [note for note in adoption.notes if note.startswith(about)]


def test_a_multirun(tmp_path):
    multirun(tmp_path)
    found = adopt_hydra(tmp_path / "logs")
    assert found.notes == []
    assert [run.origin.rsplit("/", 1)[-1] for run in found.runs] == ["0", "1", "2", "3"]
    assert len({run.sweep for run in found.runs}) == 1
    first, last = found.runs[0], found.runs[-1]
    # The default rate is known where no override says it.
    assert first.record.choices == {"model": "mnist", "data": "mnist", "trainer": "cpu", "model.optimizer.lr": 0.001}
    assert last.record.choices["model.optimizer.lr"] == 0.1
    assert (first.record.seed, last.record.seed) == (1, 2)
    record = first.record
    assert record.status == "done"
    assert record.metrics == {
        **{"val/acc": 0.7, "val/acc_best": 0.7, "train/loss": pytest.approx(0.3), "test/acc": 0.65 + 0.01},
    }
    assert record.timing == {"steps": 29, "epochs": 3, "total_seconds": 12.5}
    assert record.parameters == 1234
    assert record.evaluated == "best"
    assert record.comparable["budget"] == "3 epochs"
    assert record.provenance["imported"]["from"] == "hydra"
    assert record.provenance["imported"]["job"].endswith("2024-05-01_10-00-00/0")
    assert record.provenance["command"] == "python train.py seed=1 trainer=cpu"
    assert [row["step"] for row in first.rows] == [9, 19, 29]
    assert first.settings["steps"] == "${trainer.max_epochs}"  # interpolations stay text
    assert first.settings["paths"]["root_dir"] == "${oc.env:PROJECT_ROOT}"


def test_ids_stay_when_the_folder_moves(tmp_path):
    multirun(tmp_path)
    before = [run.record.id for run in adopt_hydra(tmp_path / "logs").runs]
    shutil.move(tmp_path / "logs", tmp_path / "elsewhere")
    assert [run.record.id for run in adopt_hydra(tmp_path / "elsewhere").runs] == before
    assert len(set(before)) == 4


def test_a_single_run_and_a_seed_that_is_missing(tmp_path):
    folder = job(tmp_path / "runs" / "2024", ["model.optimizer.lr=0.1"], {"model.optimizer.lr": 0.1}, seed=None)
    found = adopt_hydra(folder)
    assert found.runs[0].record.seed is None
    assert "has no seed (None)" in found.notes[0]
    assert found.runs[0].record.choices["model.optimizer.lr"] == 0.1


def test_awkward_jobs_are_imported_as_far_as_they_go_and_named(tmp_path):
    root = tmp_path / "sweep"
    twice = job(root / "0", ["seed=1", "model.optimizer.lr=0.1", "model.optimizer.lr=0.2"], {"model.optimizer.lr": 0.2})
    nothing = job(root / "1", ["seed=2"], seed=2)
    shutil.rmtree(nothing / "csv")
    gaps = job(root / "2", ["seed=3"], seed=3, test=None)
    (gaps / "csv" / "version_0" / "metrics.csv").write_text(
        "epoch,step,val/acc,train/loss\n0,9,0.5,\n0,9,,abc\n,,,0.25\n1,19,0.6,0.2\n2,29,0.7,0.1\n2,29,0.7"
    )
    stopped = job(root / "3", ["seed=4"], seed=4, accuracies=(0.5,), test=None)
    (stopped / "exec_time.log").unlink()
    crashed = job(root / "4", ["seed=5"], seed=5, accuracies=(0.5,), test=None)
    (crashed / "train.log").write_text(
        "[2024][ERROR] - \nTraceback (most recent call last):\n  File x\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    )
    diverging = job(root / "5", ["seed=6"], seed=6, accuracies=(0.5, float("nan"), float("nan")))
    broken = job(root / "6", ["seed=7"], seed=7)
    (broken / ".hydra" / "config.yaml").write_text("{")
    (root / "7").mkdir()
    (root / "multirun.yaml").write_text("")
    old = job(root / "8", ["seed=8"], seed=8)
    (old / ".hydra" / "hydra.yaml").unlink()
    found = adopt_hydra(root)
    status = {run.origin: (run.record.status, (run.record.failure or {}).get("type")) for run in found.runs}
    assert status == {
        "sweep/0": ("done", None),
        "sweep/1": ("failed", "unfinished"),
        "sweep/2": ("done", None),
        "sweep/3": ("failed", "unfinished"),
        "sweep/4": ("failed", "out_of_memory"),
        "sweep/5": ("diverged", None),
        "sweep/8": ("done", None),
    }
    records = {run.origin: run.record for run in found.runs}
    assert records["sweep/0"].choices["model.optimizer.lr"] == 0.2
    assert "given twice (0.1 and 0.2); Hydra took the last" in notes(found, "sweep/0")[0]
    assert "no csv/version_*/metrics.csv" in notes(found, "sweep/1")[0]
    assert "1 fields of metrics.csv are not numbers" in notes(found, "sweep/2")[0]
    assert records["sweep/2"].metrics == {"val/acc": 0.7, "val/acc_best": 0.7, "train/loss": 0.1}
    assert "ended after epoch 0 of 3" in notes(found, "sweep/3")[0]
    assert "CUDA out of memory" in notes(found, "sweep/4")[0]
    assert "not imported" in notes(found, "sweep/6")[0]
    assert "it has no config.yaml" in notes(found, "sweep/7")[0]
    assert "only the overrides are known" in notes(found, "sweep/8")[0]
    assert twice.is_dir()
    assert diverging.is_dir()


def test_the_newest_of_several_versions_is_used(tmp_path):
    folder = job(tmp_path / "sweep" / "0", ["seed=0"])
    shutil.copytree(folder / "csv" / "version_0", folder / "csv" / "version_10")
    (folder / "csv" / "version_10" / "metrics.csv").write_text("epoch,step,val/acc,test/acc\n2,29,0.9,\n3,30,,0.8\n")
    found = adopt_hydra(tmp_path / "sweep")
    assert found.runs[0].record.metrics["test/acc"] == 0.8
    assert "2 metrics.csv; the newest is used: csv/version_10/metrics.csv" in found.notes[0]


def test_an_experiment_is_a_choice_where_the_command_line_varies_it(tmp_path):
    for number, name in enumerate(("small", "large")):
        job(tmp_path / "s" / str(number), [f"experiment={name}"], choices={"experiment": name, "paths": "default"})
    found = adopt_hydra(tmp_path / "s")
    assert [run.record.choices["experiment"] for run in found.runs] == ["small", "large"]
    assert "paths" not in found.runs[0].record.choices


def test_a_group_whose_options_are_unknown_is_known_by_its_override(tmp_path):
    folder = job(tmp_path / "s" / "0", ["model=mnist_conv"])
    (folder / ".hydra" / "hydra.yaml").unlink()
    assert adopt_hydra(tmp_path / "s").runs[0].record.choices == {"model": "mnist_conv"}


def test_lists_are_levels_too(tmp_path):
    job(tmp_path / "s" / "0", ["model.sizes=[1,2]"], {"model.sizes": [1, 2]})
    assert adopt_hydra(tmp_path / "s").runs[0].record.choices["model.sizes"] == "[1, 2]"


def test_tensorboard_logs(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    folder = job(tmp_path / "s" / "0", ["seed=0"])
    with open(folder / "csv" / "version_0" / "metrics.csv") as file:
        expected = adopt_hydra(tmp_path / "s").runs[0].record.metrics
        rows = list(csv.DictReader(file))
    shutil.rmtree(folder / "csv")
    with SummaryWriter(str(folder / "tensorboard" / "version_0")) as writer:
        for row in rows:
            for key, text in row.items():
                if text and key != "step":
                    writer.add_scalar(key, float(text), int(row["step"]))
    found = adopt_hydra(tmp_path / "s")
    assert found.notes == []
    [run] = found.runs
    assert run.record.metrics == pytest.approx(expected, rel=1e-6)  # TensorBoard keeps 32 bits
    assert [row["step"] for row in run.rows] == [9, 19, 29]
    [event] = folder.rglob("events*")
    event.write_bytes(b"\x00" * 40)
    damaged = adopt_hydra(tmp_path / "s")
    assert damaged.runs[0].record.status == "failed"
    assert "TensorBoard events" in damaged.notes[0]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_a_folder_without_jobs(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=r"not a folder|none below"):
        adopt_hydra(tmp_path / "x")


def test_import_and_table_in_two_commands(paribus, tmp_path):
    multirun(tmp_path)
    result = paribus("import", "logs")
    assert result.code == 0, result.err
    assert "imported 4 runs" in result.err
    assert "2 arms (model.optimizer.lr)" in result.err
    table = paribus("table")
    assert table.code == 0, table.err
    assert "| 0.1 " in table.out
    assert "76.5" in table.out
    assert paribus("table", "--by", "model.optimizer.lr").out.count("76.5") == table.out.count("76.5")
    assert paribus("figures", "-o", "pictures").code == 0
    assert paribus("import", "logs").code == 0  # the same ids again
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 4


def test_imported_runs_are_not_mixed_with_our_own(paribus, tmp_path):
    multirun(tmp_path)
    assert paribus("import", "logs", "--by", "model.optimizer.lr").code == 0
    path = next((tmp_path / "outputs" / "sweeps").glob("*/sweep.json"))
    own = tmp_path / "outputs" / "runs" / ("a" * 16)
    own.mkdir()
    from paribus.store.record import Record

    record = Record("a" * 16, "done", seed=1, metrics={"test/acc": 0.5}, comparable={"semantics": 1, "data": "digits"})
    record.choices = {"model": "mnist", "data": "mnist", "trainer": "cpu", "model.optimizer.lr": 1.0}
    (own / "record.json").write_text(record.to_json())
    content = yaml.safe_load(path.read_text())
    content["plans"][0]["arms"]["1.0"] = [record.id]
    path.write_text(str(content).replace("'", '"'))
    refused = paribus("table")
    assert refused.code == 2
    assert "differ in semantics" in refused.err


def test_unknown_choices_and_folders_are_said(paribus, tmp_path):
    multirun(tmp_path)
    result = paribus("import", "logs", "--by", "depth")
    assert result.code == 2
    assert "model.optimizer.lr" in result.err
    assert not (tmp_path / "outputs" / "runs").exists()
    assert paribus("import", "nowhere").code == 2

"""Tidy data: what goes in comes out again, in both formats, to the last digit."""

import builtins
import csv
import math
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from paribus.extras.exchange.export import columns_of, run_line
from paribus.store.history import HistoryWriter
from paribus.store.record import Record
from paribus.store.store import Store


def read(path):
    """As Python reads numbers, to the last digit."""
    if path.suffix == ".parquet":
        return pandas.read_parquet(path)
    with open(path, newline="") as file:
        return pandas.DataFrame([{key: parsed(text) for key, text in row.items()} for row in csv.DictReader(file)])


def parsed(text):
    try:
        return float(text) if text else None
    except ValueError:
        return text


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "outputs")
    for number in range(3):
        record = Record(
            id=f"{number:016x}",
            status="done" if number < 2 else "failed",
            ablation='a "quoted", name',
            arm="1e-3",
            seed=number if number else None,
            choices={"norm": "batch", "optimizer.lr": 0.1 / 3, "model.sizes": [1, 2], "flag": True},
            comparable={"budget": "2 epochs"},
            metrics={"test/acc": 1 / 3 + number, "train/loss": math.nan if number == 1 else 0.1 + 0.2},
            timing={"steps": 6},
            failure={"type": "bug", "message": "x"} if number == 2 else None,
        )
        if number == 1:
            record.choices["depth"] = 3
        store.write(record)
        history = HistoryWriter(store.run_dir(record.id) / "history.csv")
        history.append({"epoch": 1, "step": 3, "seconds": 0.5, "train/loss": 1 / 3})
        history.append({"epoch": 2, "step": 6, "seconds": 1.0, "train/loss": 0.1, "val/acc": 0.5})
        history.close()
    return store


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_one_row_for_each_run(paribus, store, form):
    result = paribus("export", "-o", f"out/runs.{form}")
    assert result.code == 0, result.err
    assert "3 runs" in result.err
    path = store.root.parent / "out" / f"runs.{form}"
    table = read(path)
    assert [float(id) for id in table["id"]] == [0.0, 1.0, 2.0]
    assert list(table["test/acc"]) == [1 / 3, 1 / 3 + 1, 1 / 3 + 2]  # to the last digit
    assert math.isnan(table["train/loss"][1])
    assert list(table["choice.optimizer.lr"]) == [0.1 / 3] * 3
    assert list(table["choice.model.sizes"]) == ["[1, 2]"] * 3
    assert table["choice.depth"].isna().tolist() == [True, False, True]
    assert table["seed"].isna().tolist() == [True, False, False]
    assert list(table["ablation"]) == ['a "quoted", name'] * 3
    assert table["failure"][2] == "bug"
    assert table["timing.steps"][0] == 6


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_histories_in_long_form(paribus, store, form):
    (store.run_dir(f"{2:016x}") / "history.csv").write_text("step,val/acc\n1,abc\n")
    result = paribus("export", "--histories", "-o", f"histories.{form}")
    assert result.code == 0, result.err
    assert "6 values of 2 runs" in result.err
    assert "left out" in result.err  # the damaged one is named
    path = store.root.parent / f"histories.{form}"
    first = read(path)[:3]
    assert first["metric"].tolist() == ["train/loss", "train/loss", "val/acc"]
    assert first["value"].tolist() == [1 / 3, 0.1, 0.5]
    assert first["step"].tolist() == [3, 6, 6]
    assert first["seconds"].tolist() == [0.5, 1.0, 1.0]


def test_types_are_the_narrowest_that_hold_a_column():
    lines = [{"a": 1, "b": 1, "c": None, "d": True, "e": 1}, {"a": 2, "b": 0.5, "c": "x", "d": False, "e": "y"}]
    assert columns_of([*lines, {"f": None}]) == {"a": int, "b": float, "c": str, "d": bool, "e": str, "f": str}


def test_an_imported_run_says_so():
    record = Record("hydra-1", "done", provenance={"imported": {"from": "hydra", "job": "0"}})
    assert run_line(record)["imported"] == "hydra"


def test_runs_of_an_ablation_only(paribus, store):
    folder = store.root.parent / "conf" / "ablation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: mlp\n"
        "ablation:\n  name: mine\n  factors: {norm: [none, layer]}\n  seeds: 1\n"
    )
    result = paribus("export", "ablation=mine", "-o", "runs.csv")
    assert result.code == 2
    assert "no record" in result.err
    from paribus.ablation.command import plan_command

    [plan] = plan_command(["ablation=mine"], store.read)
    store.write(Record(plan.cells[0].id, "done", metrics={"test/acc": 0.5}))
    assert paribus("export", "ablation=mine", "-o", "runs.csv").code == 0
    with open("runs.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [plan.cells[0].id]


def test_files_that_cannot_be_written_leave_what_is_there(paribus, store, monkeypatch):
    result = paribus("export", "-o", "runs.xlsx")
    assert result.code == 2
    assert ".csv or .parquet" in result.err
    assert paribus("export", "-o", "runs.csv").code == 0
    before = Path("runs.csv").read_text()

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(csv, "writer", full)
    result = paribus("export", "-o", "runs.csv")
    assert result.code == 2
    assert "No space" in result.err
    assert Path("runs.csv").read_text() == before
    assert sorted(p.name for p in store.root.parent.iterdir() if p.name.startswith(".")) == []


def test_parquet_without_pyarrow(paribus, store, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError(f"No module named {name!r}", name="pyarrow")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    result = paribus("export", "-o", "runs.parquet")
    assert result.code == 2
    assert "pip install 'paribus[parquet]'" in result.err


@pytest.mark.needs("wandb")
def test_the_commands_of_this_file_and_of_wandb_import_no_torch(store):
    """Nor does a dry run of them; and importing the logic does nothing."""
    commands = [["export", "-o", "x.csv"], ["sync", "--dry-run"], ["import", "--help"], ["dashboard", "--help"]]
    code = f"""
import sys
from paribus.sweep.failure import guarded
from paribus.cli.main import run_command
import paribus.extras.wandb.sync, paribus.extras.wandb.dashboard
import paribus.extras.exchange.hydra_runs, paribus.extras.exchange.wandb_runs
assert "wandb" not in sys.modules
for command in {commands!r}:
    sys.argv = ["paribus", *command]
    try:
        assert guarded(run_command) == 0, command
    except SystemExit as stop:
        assert not stop.code
slow = {{"torch", "pytorch_lightning", "pandas", "sklearn"}} & set(sys.modules)
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", code], cwd=store.root.parent, check=True, capture_output=True, timeout=60)

"""`paribus doctor` and `paribus --version`: what is there, and what is wrong with it."""

import importlib.metadata
import json
import os

from paribus.base.version import __version__
from paribus.config.run import Run
from paribus.conformance import machine
from paribus.store.record import Record
from paribus.store.store import Store


def subjects(result):
    return {each["subject"]: each for each in json.loads(result.out)}


def test_a_healthy_machine(paribus, compose, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    Store(tmp_path / "outputs").write(Record("0" * 16, "done", seed=0))
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    result = paribus("doctor", "--json")
    assert result.code == 0, result.err
    found = subjects(result)
    assert {name: each["wrong"] for name, each in found.items() if each["wrong"]} == {}
    assert f"paribus {__version__}" in found["versions"]["found"]
    assert "torch 2." in found["versions"]["found"]
    assert f"would be run {Run.parse(compose()).id}" in found["configuration"]["found"]
    assert found["records"]["found"].endswith(": 1 done")
    assert found["sweeps"]["found"] == "runs can be forked"
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    assert paribus("doctor").out.count("ok  ") == len(found)


def test_faults_are_named_with_their_remedy(paribus, tmp_path, monkeypatch):
    (tmp_path / "outputs").mkdir()
    version = importlib.metadata.version

    def without_wandb(name):
        if name == "wandb":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(machine, "ROOM", 1e18)
    monkeypatch.setattr(importlib.metadata, "version", without_wandb)
    result = paribus("doctor", "--json")
    assert result.code == 2
    assert result.err.strip() == "error: something is wrong with versions, records, data"
    found = subjects(result)
    assert found["versions"]["wrong"].startswith("wandb is not installed")
    assert "is left: paribus gc" in found["records"]["wrong"]


def test_a_damaged_record_is_named(tmp_path):
    folder = Store(tmp_path).run_dir("a" * 16)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    found = machine.records(tmp_path)
    assert found.wrong.startswith("1 records can't be read, such as: ")
    assert "record.json" in found.wrong


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "Name another folder: paths.data=DIR" in machine.place("data", tmp_path / "data").wrong
    assert "Name another folder: paths.outputs=DIR" in machine.records(tmp_path / "outputs").wrong


def test_options_that_do_not_compose(paribus, tmp_path):
    (tmp_path / "conf" / "local").mkdir(parents=True)
    (tmp_path / "conf" / "local" / "default.yaml").write_text("# @package _global_\nbudgets: {epochs: 1}\n")
    found = subjects(paribus("doctor", "--json"))
    assert found["configuration"]["wrong"].startswith("it can't be composed: ")
    assert "budgets" in found["configuration"]["wrong"]
    assert "records" not in found


def test_the_version_says_what_it_runs_on(paribus):
    said = paribus("--version").out
    assert said.startswith(f"paribus {__version__} (Python 3.")
    assert "torch 2." in said

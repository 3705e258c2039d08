"""Hydra's composition in steps; without it Hydra composes every command line itself, with the same result."""

import importlib

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus

from paribus.base import hydra_internals
from paribus.base.hydra_internals import ConfigFiles, Unsupported, error_of, hasten
from paribus.config.compose import hydra_context, load, parse_overrides, resolved
from paribus.config.composer import Composer
from paribus.config.merger import Merger

LINE = ["norm=layer", "optimizer=adam", "seed=3"]


def test_the_files_of_a_command_line_and_what_they_set():
    with hydra_context():
        files = ConfigFiles("train")
        chosen, choices = files.chosen(parse_overrides(["optimizer=adam"]))
        assert choices["optimizer"] == "adam"
        [adam] = [file for file in chosen if file.config_path == "optimizer/adam"]
        assert "lr" in files.content(adam).optimizer


def test_another_hydra_composes_by_itself(monkeypatch):
    def changed(*arguments, **options):
        raise TypeError("create_defaults_list() got an unexpected keyword argument")

    with hydra_context():
        files = ConfigFiles("train")
        monkeypatch.setattr(files, "_list", changed)
        with pytest.raises(Unsupported):
            files.chosen([])
    monkeypatch.setattr(hydra_internals.ConfigFiles, "chosen", lambda self, overrides: changed_name())
    assert Merger()(("norm=layer",)) is None
    assert Composer()(LINE).resolved == resolved(load(LINE))


def test_lists_of_defaults_may_refer_to_options(tmp_path):
    """The map of chosen options that Hydra resolves them with is made where a list asks for it."""
    for name, text in {
        "top.yaml": "defaults: [model: small, data: big, extra: '${model}_${data}']",
        "model/small.yaml": "x: 1",
        "model/large.yaml": "x: 2",
        "data/big.yaml": "y: 1",
        "extra/small_big.yaml": "z: 1",
        "extra/large_big.yaml": "z: 2",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert compose("top").extra.z == 1
        assert compose("top", ["model=large"]).extra.z == 2


def test_a_hydra_without_that_map_is_left_alone(monkeypatch):
    monkeypatch.delattr("hydra._internal.defaults_list._create_interpolation_map")
    hasten()
    assert not hasattr(importlib.import_module("hydra._internal.defaults_list"), "_create_interpolation_map")


def changed_name():
    raise Unsupported("no such name")


def test_the_error_of_a_failed_job_is_read_without_a_word(capsys):
    error = ValueError("no")
    failed = JobReturn(overrides=["seed=1"], status=JobStatus.FAILED, _return_value=error)
    assert error_of(failed) is error

    class Renamed:  # of a version that keeps it elsewhere
        return_value = property(lambda self: failed.return_value)

    assert error_of(Renamed()) is error
    assert capsys.readouterr() == ("", "")

"""Hydra's composition in steps; without it Hydra composes every command line itself, with the same result."""

import importlib
import inspect
import os
import time
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

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


LINES = [
    [],
    ["norm=layer", "model=vit_tiny", "seed=3"],
    ["optimizer=adam", "scheduler=cosine", "+more.keys={a: [1, 2]}"],
    ["ablation=batch_size", "batch_size=b256"],
    ["task=language", "data=markov", "model=gpt", "hydra/launcher=submitit_slurm"],
    ["callbacks=[lr_monitor,early_stopping]", "~optimizer.momentum", "hydra.sweeper.params={seed: '0,1'}"],
]


def _hydras_own(monkeypatch):
    monkeypatch.setattr(ConfigRepository, "load_config", inspect.unwrap(ConfigRepository.load_config))
    merge = "_compose_config_from_defaults_list"
    monkeypatch.setattr(ConfigLoaderImpl, merge, inspect.unwrap(getattr(ConfigLoaderImpl, merge)))


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_what_is_remembered_composes_as_what_is_read(monkeypatch, line):
    remembered = [OmegaConf.to_yaml(load(line)) for _ in range(3)]
    _hydras_own(monkeypatch)
    assert remembered == [OmegaConf.to_yaml(load(line))] * 3


def test_a_configuration_that_is_changed_changes_no_other():
    first = load([])
    OmegaConf.set_struct(first, False)
    written = OmegaConf.to_yaml(first)
    first.optimizer.lr, first.more = 7.0, {"a": 1}
    first.hydra.runtime.choices.optimizer = "none"
    assert OmegaConf.to_yaml(load([])) == written


def _top(folder):
    with initialize_config_dir(str(folder), version_base="1.3"):
        return OmegaConf.to_container(compose("top"))


def _write(path, text, when=1.0e9):
    path.write_text(text)
    os.utime(path, (when, when))


def test_a_file_that_has_changed_is_read_again(tmp_path):
    (tmp_path / "group").mkdir()
    for number in range(3):  # within the clock's tick, and of one size
        (tmp_path / "top.yaml").write_text(f"x: {number}")
        assert _top(tmp_path) == {"x": number}
    _write(tmp_path / "top.yaml", "defaults: [group: a]")
    _write(tmp_path / "group" / "a.yaml", "y: 1")
    assert _top(tmp_path) == _top(tmp_path) == {"group": {"y": 1}}
    _write(tmp_path / "group" / "a.yaml", "y: 2", 1.1e9)
    assert _top(tmp_path) == {"group": {"y": 2}}


def test_a_file_is_not_remembered_before_its_times_can_tell_versions_apart(tmp_path, monkeypatch):
    read = []
    remembered = hydra_internals._remembering_files(lambda repository, path: read.append(path) or path)

    class Place:
        provider, path = "main", str(tmp_path)
        scheme = staticmethod(lambda: "file")
        is_config = staticmethod(lambda path: True)
        get_sources = staticmethod(lambda: [Place])

    (tmp_path / "a.yaml").write_text("x: 1")
    assert [remembered(Place, "a") for _ in range(2)] == ["a"] * 2 == read
    later = time.time() + 1e4
    monkeypatch.setattr(hydra_internals, "time", SimpleNamespace(time=lambda: later))
    assert [remembered(Place, "a.yaml") for _ in range(3)] == ["a.yaml"] * 3
    assert read == ["a", "a", "a.yaml"]
    status = os.stat(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("x: 2")  # of one size, and at one time but for when it was written
    os.utime(tmp_path / "a.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [remembered(Place, "a.yaml") for _ in range(3)] == ["a.yaml"] * 3
    assert read == ["a", "a", "a.yaml", "a.yaml"]


def test_schemas_that_are_registered_later_are_found(tmp_path):
    _write(tmp_path / "top.yaml", "defaults: [shape, _self_]\nx: 1")
    store = ConfigStore.instance()
    try:
        for number in range(2):
            store.store(name="shape", node={"z": number})
            assert _top(tmp_path) == {"x": 1, "z": number}
    finally:
        del store.repo["shape.yaml"]


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

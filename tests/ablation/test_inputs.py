"""Digests of what a config names: the user's sources without executing them, files, and folders of data."""

import functools
import os
import subprocess
import sys

import pytest

from paribus.ablation import inputs as module
from paribus.ablation.changes import changed_inputs, moved_data
from paribus.ablation.inputs import Inputs, is_open
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.config.sources import modules_of
from paribus.store.record import Record


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's package whose import would fail, in a folder on the path."""
    files = {
        "net/__init__.py": "raise RuntimeError('executed')",
        "net/model.py": "import torch, os.path\nfrom . import parts\nfrom .more import deep\nraise SystemExit",
        "net/parts.py": "def f():\n    import helper",
        "net/more/__init__.py": "",
        "net/more/deep.py": "from ..parts import f\nfrom .. import other",
        "net/other.py": "x = (",  # not Python
        "helper.py": "import helper",
        "unrelated.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@functools.cache
def base():
    return Run.parse(resolved(load([])))


def run_of(source="paribus.datasets.digits.Digits", **nodes):
    """A run with these nodes, on samples of this source: a node or what it names."""
    return base().but({**nodes, "data.source": {"_target_": source} if isinstance(source, str) else source})


def test_the_modules_of_a_target_are_found_and_not_executed(project):
    found = modules_of("net.model.Net.small")
    assert set(found) == {"net", "net.model", "net.parts", "net.more", "net.more.deep", "net.other", "helper"}
    assert found["net.more.deep"] == project / "net" / "more" / "deep.py"
    assert not {"net", "helper"} & set(sys.modules)


@pytest.mark.parametrize(
    "target", ["torch.nn.Linear", "os.path.join", "paribus.techniques.losses.CrossEntropy", "no.such", "numpy.x"]
)
def test_libraries_have_versions_and_no_digests(target):
    assert modules_of(target) == {}


def test_a_changed_source_or_file_changes_its_digest_and_no_other(project):
    (project / "pre.pt").write_text("1")
    run = run_of(model={"_target_": "net.model.Net", "weights": "pre.pt", "names": ["pre.pt", "absent.pt"]})
    before = Inputs(project / "outputs")(run)
    assert {"code net.model", "code helper", "file model.weights", "file model.names.0"} <= set(before)
    assert "code unrelated" not in before
    (project / "helper.py").write_text("changed = True")
    (project / "pre.pt").write_text("2")
    after = Inputs(project / "outputs")(run)
    different = {label for label in before if before[label] != after[label]}
    assert different == {"code helper", "file model.weights", "file model.names.0"}
    record = Record("a", "done", provenance={"inputs": before})
    assert changed_inputs(record, after, run) == [
        "the source of helper",
        "the file of model.names.0=pre.pt",
        "the file of model.weights=pre.pt",
    ]


def test_code_that_is_named_by_an_argument_counts(project):
    node = {"_target_": "hydra.utils.get_class", "path": "helper.Block"}
    assert set(Inputs(project)(run_of(model={"_target_": "net.model.Net", "block": node}))) >= {"code helper"}
    assert set(Inputs(project)(run_of(model=node))) == {"code helper"}


def test_words_of_ours_that_are_names_of_files_are_no_inputs(project):
    (project / "digits").mkdir()
    (project / "last").write_text("")
    source = {"_target_": "paribus.datasets.idx.IDX", "name": "last", "root": "nowhere"}
    assert Inputs(project)(run_of(source)) == {}  # evaluation.checkpoint is last


def test_a_folder_that_is_no_data_is_not_read(project):
    """It may be one that the run writes to, or the whole disk."""
    callback = {"_target_": "unrelated.Log", "folder": "/", "here": "."}
    assert set(Inputs(project)(run_of(callbacks={"mine": callback}))) == {"code unrelated"}


@pytest.fixture
def folder(tmp_path):
    for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(os.urandom(10))
    return tmp_path / "images"


def images(folder):
    return run_of({"_target_": "paribus.datasets.folder.ImageFolder", "root": str(folder)})


def test_data_count_by_content_and_names_without_hidden_files_and_outputs(folder, tmp_path):
    outputs = folder / "outputs"
    before = Inputs(outputs)(images(folder))
    assert set(before) == {"file data.source.root"}
    (folder / ".DS_Store").write_text("")
    (outputs / "runs").mkdir(parents=True)
    (outputs / "runs" / "x").write_text("")
    assert Inputs(outputs)(images(folder)) == before
    (folder / "train" / "a" / "1.png").rename(folder / "train" / "b" / "1.png")
    assert Inputs(outputs)(images(folder)) != before


@pytest.mark.parametrize("times", ["kept", "new"])
def test_a_large_file_is_read_once_and_again_when_it_changes(folder, tmp_path, monkeypatch, times):
    large = folder / "train" / "a" / "1.png"
    large.write_bytes(bytes(2 << 20))
    reads = []
    original = module.sha256
    monkeypatch.setattr(module, "sha256", lambda path: reads.append(path) or original(path))
    before = Inputs(tmp_path)(images(folder))
    assert len(reads) == 3
    assert Inputs(tmp_path)(images(folder)) == before
    assert len(reads) == 3
    status = large.stat()
    large.write_bytes(b"1" + bytes((2 << 20) - 1))
    if times == "kept":  # as cp -p does; the time of the inode tells
        os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert Inputs(tmp_path)(images(folder)) != before
    (tmp_path / "digests.json").write_text("{damaged")
    assert Inputs(tmp_path)(images(folder)) != before


def test_the_folder_of_fixed_content_is_compared_by_its_samples(folder):
    run = run_of({"_target_": "paribus.source.IDX", "name": "mnist", "root": str(folder)})
    now = Inputs(folder / "outputs")(run)
    record = Record("a", "done", provenance={"inputs": {"file data.source.root": "other"}})
    assert changed_inputs(record, now, run) == []
    assert moved_data(record, now, run)
    assert not moved_data(Record("a", "done", provenance={"inputs": now}), now, run)
    assert changed_inputs(record, Inputs(folder / "outputs")(images(folder)), images(folder))


def test_only_ours_with_fixed_content_need_not_be_loaded(folder):
    def opened(target, **values):
        return is_open(run_of({"_target_": target, **values}))

    assert not opened("paribus.datasets.digits.Digits")
    assert not opened("paribus.source.ImageFolder", root="x")
    assert not opened("paribus.source.HuggingFace", path=str(folder))
    assert opened("paribus.source.HuggingFace", path="someone/images")
    assert opened("mine.Source")


def test_records_of_before_say_nothing():
    assert changed_inputs(Record("a", "done"), {"code mine": "1"}, run_of()) == []
    assert changed_inputs(Record("a", "done", provenance={"inputs": {}}), {"code mine": "1"}, run_of())


def test_quick_and_without_torch(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom paribus.config.composer import Composer\n"
        "from paribus.ablation.inputs import Inputs\n"
        "Inputs(Path('.'))(Composer()([]).run)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_links_to_folders_above_lead_nowhere(tmp_path):
    for name in "abcdefgh":
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "x").write_text(name)
    for name in "abcdefgh":
        for other in "abcdefgh":
            (tmp_path / "data" / name / f"to_{other}").symlink_to(tmp_path / "data" / other)
        (tmp_path / "data" / name / "up").symlink_to("..")
    found = list(module._files(tmp_path / "data", "nowhere"))
    assert len(found) == 8
    assert found == list(module._files(tmp_path / "data", "nowhere"))


@pytest.mark.parametrize("name", ["CSV", "Parquet", "Arrays"])
def test_the_files_of_a_users_data_count_by_content_wherever_they_are_named(name, tmp_path):
    files = {"path": tmp_path / "train", **({"test": tmp_path / "test"} if name != "Arrays" else {})}
    for file in files.values():
        file.write_bytes(b"1")
    run = run_of({"_target_": f"paribus.source.{name}", "target": "y", **{k: str(file) for k, file in files.items()}})
    before = Inputs(tmp_path / "outputs")(run)
    assert set(before) == {f"file data.source.{key}" for key in files}
    for key, file in files.items():
        file.write_bytes(b"2")
        after = Inputs(tmp_path / "outputs")(run)
        assert {label for label in before if after[label] != before[label]} == {f"file data.source.{key}"}
        file.write_bytes(b"1")

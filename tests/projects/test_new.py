"""paribus new: a project that works at once."""

import os
import subprocess
import sys

import pytest

from paribus.projects.new import package_name


@pytest.mark.parametrize(
    ("name", "package"), [("my-study", "my_study"), ("Study 2", "study_2"), ("norms.of.nets", "norms_of_nets")]
)
def test_the_package_has_the_name_of_the_folder(name, package):
    assert package_name(name) == package


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("2nd", "is none of Python's names"),
        ("class", "is none of Python's names"),
        ("数", "is none of Python's names"),
        ("json", "is taken"),
        ("tests", "is taken"),
        ("torch", "is an installed package"),
        ("regression", "is a task of Paribus"),
    ],
)
def test_names_that_are_taken(paribus, name, reason, tmp_path):
    done = paribus("new", name)
    assert (done.code, reason in done.err, "such as my_study" in done.err) == (2, True, True), done.err
    assert not (tmp_path / name).exists()


def test_a_folder_that_holds_something_is_left_alone(paribus, tmp_path):
    (tmp_path / "mine").mkdir()
    assert paribus("new", "mine").code == 0
    files = {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    done = paribus("new", "mine")
    assert (done.code, "new or empty" in done.err) == (2, True)
    assert {path: path.read_bytes() for path in files} == files
    assert not [path for path, content in files.items() if b"PACKAGE" in content or "PACKAGE" in str(path)]


@pytest.mark.slow
def test_its_makefile(paribus, tmp_path):
    assert paribus("new", "my-study").code == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for target, said in (("demo", "**SUPPORTED**"), ("test", "2 passed")):
        done = subprocess.run(
            ["make", target, f"PYTHON={sys.executable}"],
            cwd=tmp_path / "my-study", env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert said in done.stdout

"""Provenance: right about the repository, silent about persons and places, quick."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import paribus
from paribus.store.provenance import provenance, repository_state


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("x = 1\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_commit_and_dirty(repository):
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert repository_state(repository) == {"commit": commit, "dirty": False}
    (repository / "notes.txt").write_text("no code")
    assert not repository_state(repository)["dirty"]
    (repository / "src" / "new.py").write_text("y = 2\n")
    assert repository_state(repository)["dirty"]
    (repository / "src" / "new.py").unlink()
    (repository / "src" / "code.py").write_text("x = 2\n")
    assert repository_state(repository) == {"commit": commit, "dirty": True}


def test_the_environment_does_not_lead_to_another_repository(repository, monkeypatch):
    expected = repository_state(repository)
    monkeypatch.setenv("GIT_DIR", "/nowhere/.git")
    assert repository_state(repository) == expected


def test_no_repository_of_ours(repository):
    """A wheel inside a virtual environment inside the user's own repository."""
    inside = repository / "venv"
    inside.mkdir()
    assert repository_state(inside) == {"commit": None, "dirty": None}


def test_versions_hardware_and_no_place():
    found = provenance("paribus train norm=batch", world_size=2, device="NVIDIA H200")
    assert found["versions"]["paribus"] == paribus.__version__
    assert {"torch", "pytorch-lightning", "hydra-core", "numpy", "python"} <= set(found["versions"])
    assert found["hardware"]["device"] == "NVIDIA H200"
    assert found["hardware"]["cores"] >= 1
    assert found["world_size"] == 2
    text = json.dumps(found)
    assert str(Path.home()) not in text
    assert set(provenance("", 1)["hardware"]) == {
        "cpu",
        "cores",
        "platform",
    }  # an earlier answer is not changed


def test_quick_and_without_torch():
    script = (
        "import sys, time\n"
        "from paribus.store.provenance import provenance\n"
        "started = time.perf_counter()\n"
        "provenance('', 1)\n"
        "print(time.perf_counter() - started)\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)\n"
    )
    best = min(
        float(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    )
    assert best < 0.1  # 0.03 on an idle machine


def test_a_cached_answer_is_free():
    provenance("", 1)
    started = time.perf_counter()
    provenance("", 1)
    assert time.perf_counter() - started < 0.005

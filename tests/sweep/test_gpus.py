"""The GPUs that jobs are given: those that a scheduler has left, and each instance of one that MIG has cut."""

import pytest

from paribus.base.errors import UserError
from paribus.sweep.gpus import VISIBLE, at_a_time, names_of_gpus

WHOLE = "GPU 0: NVIDIA H100 (UUID: GPU-aa)\nGPU 1: NVIDIA H100 (UUID: GPU-bb)\n"
CUT = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
  MIG 3g.20gb     Device  0: (UUID: MIG-GPU-aa/1/0)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-aa/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-cc)
  MIG 7g.40gb     Device  0: (UUID: MIG-c7384736-a75d)
"""
ALL = ("MIG-GPU-aa/1/0", "MIG-GPU-aa/2/0", "GPU-bb", "MIG-c7384736-a75d")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose driver lists these GPUs, and whose CUDA_VISIBLE_DEVICES is that."""

    def make(listed, visible):
        folder = tmp_path / "bin"
        folder.mkdir()
        command = folder / "nvidia-smi"
        command.write_text(f"#!/bin/sh\ntest \"$1\" = -L && printf '%s' '{listed}'\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        monkeypatch.delenv(VISIBLE, raising=False)
        if visible is not None:
            monkeypatch.setenv(VISIBLE, visible)

    return make


@pytest.mark.parametrize(
    ("listed", "visible", "count", "names"),
    [
        (WHOLE, None, 2, ("0", "1")),
        (WHOLE, "4,5", 2, ("4", "5")),
        (WHOLE, " 4, 5,9", 2, ("4", "5")),  # torch does not see the last one
        (WHOLE, "GPU-bb", 1, ("GPU-bb",)),
        (WHOLE, "", 0, ()),
        (CUT, None, 1, ALL),  # CUDA shows the first instance only
        (CUT, "2,0", 1, (*ALL[3:], *ALL[:2])),
        (CUT, "GPU-cc,GPU-bb", 1, (ALL[3], "GPU-bb")),
        ("", "MIG-x,MIG-y", 1, ("MIG-x", "MIG-y")),
    ],
)
def test_all_that_there_are(machine, listed, visible, count, names):
    machine(listed, visible)
    assert names_of_gpus(None, lambda: count) == names
    assert at_a_time({"gpus": "auto", "jobs_per_gpu": 3}, lambda: count) == max(1, 3 * len(names))


@pytest.mark.parametrize(
    ("listed", "visible", "asked", "names"),
    [
        (WHOLE, None, ("1",), ("1",)),
        (WHOLE, "4,5", ("1", "0"), ("5", "4")),  # and not the first two, which are somebody else's
        (WHOLE, "4,5", ("GPU-aa",), ("GPU-aa",)),
        (CUT, None, ("1", "3"), (ALL[1], ALL[3])),
    ],
)
def test_those_that_are_asked_for_count_within_what_is_visible(machine, listed, visible, asked, names):
    machine(listed, visible)
    assert names_of_gpus(asked, lambda: 2) == names


def test_a_number_beyond_those_that_are_visible_is_refused(machine):
    machine(WHOLE, "4,5")
    with pytest.raises(UserError, match=r"within CUDA_VISIBLE_DEVICES=4,5, which has 2, and got 4\. Use \[0, 1\]"):
        names_of_gpus(("4",), lambda: 2)

"""How many runs train at a time: by cores, by GPUs, by the launcher."""

import pytest

from paribus.sweep import gpus
from paribus.sweep.capacity import jobs_at_a_time, runs_at_a_time
from paribus.sweep.gpus import VISIBLE, gpus_here
from paribus.sweep.slots import cores

LOCAL = {"slots": 8, "threads": 1, "gpus": "auto", "jobs_per_gpu": 1}


@pytest.mark.parametrize(
    ("launcher", "line", "expected"),
    [
        ({}, [], 8),
        ({}, ["trainer.threads=3"], 2),
        ({"threads": 4}, ["trainer.threads=3"], 8),  # each slot has four
        ({}, ["trainer=ddp_sim"], 4),
        ({}, ["trainer=gpu"], 4),
        ({"jobs_per_gpu": 3}, ["trainer=gpu"], 12),
        ({"gpus": [0, 1]}, ["trainer=gpu"], 2),
        ({}, ["trainer=ddp"], 2),
        ({}, ["trainer=ddp", "trainer.devices=8"], 1),
        ({"jobs_per_gpu": 2}, ["trainer=mps"], 2),
    ],
)
def test_runs_of_this_machine(run_of, monkeypatch, launcher, line, expected):
    monkeypatch.setenv(VISIBLE, "0,1,2,3")
    assert runs_at_a_time({**LOCAL, **launcher}, run_of(*line), lambda: 4) == expected


def test_slots_are_cores_unless_somebody_says_their_number():
    assert jobs_at_a_time({**LOCAL, "slots": None}, "cpu", lambda: 0) == cores()
    assert jobs_at_a_time({**LOCAL, "slots": None, "threads": 10**6}, "cpu", lambda: 0) == 1


@pytest.mark.parametrize("line", [["trainer=ddp"], []])
def test_a_cluster_runs_as_many_as_its_launcher_says(run_of, line):
    assert runs_at_a_time({"array_parallelism": 256}, run_of(*line), lambda: 0) == 256
    assert runs_at_a_time({"parallel": None}, run_of(*line), lambda: 0) == 1


def test_the_driver_counts_gpus_without_torch(monkeypatch):
    there = {"0": (), "GPU-a": (), "1": (), "GPU-b": ()}
    monkeypatch.setattr(gpus, "instances", lambda: there)
    monkeypatch.delenv(VISIBLE, raising=False)
    assert gpus_here() == 2
    monkeypatch.setenv(VISIBLE, "1")
    assert gpus_here() == 1
    monkeypatch.setenv(VISIBLE, "")
    assert gpus_here() == 0

"""The number of jobs that a launcher runs at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paribus.config.run import Run
from paribus.sweep.gpus import at_a_time as gpus_at_a_time
from paribus.sweep.slots import cores

_NAMES = ("slots", "n_jobs", "array_parallelism", "parallel")  # launchers call it so


def is_of_this_machine(launcher: Mapping[str, Any]) -> bool:
    """Whether a launcher runs its jobs on this machine alone, by its options."""
    return "jobs_per_gpu" in launcher


def jobs_at_a_time(launcher: Mapping[str, Any], device: str, count: Callable[[], int]) -> int:
    """Jobs of one process on a kind of device: cpu, cuda or mps. Launchers beyond one machine have room of one kind.

    launcher: its options. count: of the GPUs of this machine; it is called where one trains on them.
    """
    if device == "cpu" or not is_of_this_machine(launcher):
        if number := next((int(launcher[name]) for name in _NAMES if launcher.get(name)), None):
            return max(1, number)
        return max(1, cores() // launcher["threads"]) if launcher.get("threads") else 1
    return int(launcher["jobs_per_gpu"]) if device == "mps" else gpus_at_a_time(launcher, count)


def runs_at_a_time(launcher: Mapping[str, Any], run: Run, count: Callable[[], int]) -> int:
    """Runs like this one: on one machine those of several devices, or of several threads, take more room each."""
    jobs = jobs_at_a_time(launcher, run.device, count)
    if not is_of_this_machine(launcher):
        return jobs
    room = run.trainer.devices
    if run.device == "cpu":
        room *= -(-(run.trainer.threads or launcher["threads"]) // launcher["threads"])
    return max(1, jobs // room)

"""The place of this process in a step of SLURM that has one task on each of several nodes."""

from __future__ import annotations

from collections.abc import Mapping

from paribus.sweep.meeting import Node


def step(environment: Mapping[str, str]) -> Node | None:
    """None outside of a step (a command that srun has started), and where it has another number of tasks than nodes.

    A job that is requeued is another attempt, which SLURM counts.
    """
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_STEP_NUM_NODES", "SLURM_STEP_NUM_TASKS")
    found = [environment.get(name) for name in names]
    job, number, task, nodes, tasks = found
    if None in found or nodes != tasks:
        return None
    attempt = f"{job}.{number}.{environment.get('SLURM_RESTART_COUNT', '0')}"
    return Node(int(task or 0), int(nodes or 1), attempt)

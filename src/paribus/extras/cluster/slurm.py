"""Jobs of SLURM, or of this machine in the same manner, through submitit."""

from __future__ import annotations

import subprocess
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from paribus.base.errors import UserError
from paribus.extras.cluster.remote import Order, Returned
from paribus.sweep.grouping import WITHHELD
from paribus.sweep.jobs import JobLost

# What submitit calls the same on every cluster; all else is SLURM's own.
GENERIC = (
    *("name", "timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "stderr_to_stdout"),
    *("nodes", "tasks_per_node"),
)
LARGEST_ARRAY = 1000  # SLURM's default of MaxArraySize is 1001
# Options of sbatch that say how many CPUs or GPUs a job gets: where somebody gives one, it gets no other from us.
_CPUS = {"cpus_per_task", "cpus_per_gpu", "exclusive"}
_GPUS = {"gpus_per_node", "gpus_per_task", "gpus", "num_gpus", "gres"}

_WANTED = ("CANCELLED", "TIMEOUT", "DEADLINE")  # states of jobs that are not tried again


class Arrays:
    """Submits orders as job arrays, one for each number of devices, CPUs and machines that runs need.

    settings: what submitit's AutoExecutor takes. parameters: what its update_parameters takes, without prefixes.

    Raises UserError where there is no SLURM, or for what submitit or sbatch refuse.
    """

    def __init__(self, settings: Mapping[str, Any], parameters: Mapping[str, Any]):
        self.settings = dict(settings)
        self.parameters = {key: value for key, value in parameters.items() if value is not None}

    def __call__(self, orders: Sequence[Order]) -> list[Job]:
        alike: dict[tuple[int, bool, int, int], list[int]] = {}
        for number, order in enumerate(orders):
            alike.setdefault((order.devices, order.on_gpu, order.cpus, order.nodes), []).append(number)
        jobs: dict[int, Job] = {}
        for numbers in alike.values():
            for first in range(0, len(numbers), LARGEST_ARRAY):
                array = numbers[first : first + LARGEST_ARRAY]
                jobs |= zip(array, self.submit([orders[number] for number in array]), strict=True)
        return [jobs[number] for number in range(len(orders))]

    def submit(self, orders: Sequence[Order]) -> list[Job]:
        try:
            import submitit
            from submitit.core.utils import FailedJobError, FailedSubmissionError
        except ImportError as error:
            raise UserError(f"this launcher needs submitit ({error}): pip install 'paribus[slurm]'") from error
        cluster = self.settings["cluster"]
        grace = 0.0 if cluster == "local" else 15.0
        try:
            executor = submitit.AutoExecutor(**self.settings)
            wanted = {**self.resources(orders[0]), **self.parameters}
            executor.update_parameters(
                **{key if key in GENERIC else f"{cluster}_{key}": value for key, value in wanted.items()}
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # processes that submitit starts and does not wait for
                return [Job(job.task(0), grace) for job in executor.submit_array([*map(writable, orders)])]
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            raise UserError(f"SLURM rejected the jobs: {error}. Look at hydra.launcher.*") from error
        except (AssertionError, NameError, TypeError, ValueError) as error:
            raise UserError(f"hydra.launcher: {error}") from error
        except RuntimeError as error:
            raise UserError(f"{error} Without SLURM use hydra/launcher=submitit_local") from error

    def resources(self, order: Order) -> dict[str, Any]:
        """What a run needs, unless hydra.launcher says otherwise, by this name or another that SLURM has for it.

        All ranks of a run on a machine are started by one task.
        """
        given = {*self.parameters, *(self.parameters.get("additional_parameters") or {})}
        given = {name.replace("-", "_") for name in given}
        needed: dict[str, Any] = {}
        if not given & _CPUS:
            needed["cpus_per_task"] = order.cpus
        if order.on_gpu and not given & _GPUS:
            needed["gpus_per_node"] = order.devices
        if order.nodes > 1:
            if self.settings["cluster"] != "slurm":
                raise UserError(
                    f"trainer.num_nodes={order.nodes} needs SLURM (hydra/launcher=submitit_slurm), or by hand `paribus "
                    "node`; this launcher has one machine"
                )
            needed |= {"nodes": order.nodes, "tasks_per_node": 1}
        return needed


def writable(order: Order) -> Order:
    """An order without values that no file may hold: submitit writes it to one, and the job inherits them."""
    return replace(
        order, environment={key: value for key, value in order.environment.items() if not key.startswith(WITHHELD)}
    )


class Job:
    """A Ticket for a job of submitit, by its first task: on further machines others wait for what becomes of that.

    grace_seconds: how long its result may take to appear on a shared file system after it has ended.
    """

    def __init__(self, job: Any, grace_seconds: float):
        self.job = job
        self.grace_seconds = grace_seconds
        self.silent_since: float | None = None

    def ended(self) -> bool:
        if not self.job.done():
            return False
        if self.job.paths.result_pickle.exists():
            return True
        if self.silent_since is None:
            self.silent_since = time.monotonic()
        return time.monotonic() - self.silent_since > self.grace_seconds

    def result(self) -> list[Returned]:
        """Raises JobLost for a job that has ended without any."""
        paths = self.job.paths
        try:
            if not paths.result_pickle.exists():
                lost = JobLost(f"job {self.job.job_id} ended as {self.job.state}; its log is {paths.stderr}")
                lost.wanted = self.job.state.startswith(_WANTED)
                raise lost
            result: list[Returned] = self.job.result()
            return result
        finally:  # they hold the command line with all its values
            for path in (paths.submitted_pickle, paths.result_pickle):
                with suppress(OSError):
                    path.unlink()

    def cancel(self) -> None:
        self.job.cancel(check=False)

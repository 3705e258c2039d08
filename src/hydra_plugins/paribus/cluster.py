"""Launchers beyond one machine: SLURM through submitit, and Ray. Their options are in conf/hydra/launcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ClusterLauncher(Launcher):
    """Sends command lines to be trained elsewhere, and waits for all of them."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from paribus.sweep.settings import check_settings, plain

        check_settings("hydra.launcher", plain(config.hydra.launcher))
        # Where a job is trained it is composed as well: nothing else of this process goes there.


class SlurmLauncher(ClusterLauncher):
    """Job arrays of SLURM.

    folder: job scripts and logs. runs_per_job: trained one after the other in one job.
    time_limits: how often a job may reach its time limit, and go on in a new one from the checkpoints.
    retries: how often a job that was killed is sent again.
    parameters: of submitit; None leaves one to SLURM.
    """

    def __init__(self, folder: str, runs_per_job: int, time_limits: int, retries: int, **parameters: Any):
        self.runs_per_job = runs_per_job
        self.retries = retries
        self.settings = {"cluster": "slurm", "folder": folder, "slurm_max_num_timeout": time_limits}
        self.parameters = dict(parameters)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from paribus.extras.cluster.remote import Collection, orders
        from paribus.extras.cluster.slurm import Arrays

        submit = Arrays(self.settings, self.parameters)
        return Collection(submit, retries=self.retries).run(orders(job_overrides, self.runs_per_job))


class SubmititLocalLauncher(ClusterLauncher):
    """Processes of this machine, started by submitit as SLURM's jobs are: a rehearsal.

    parallel: how many at a time. retries: how often a job that was killed is begun again.
    """

    def __init__(self, folder: str, runs_per_job: int, parallel: int, retries: int, **parameters: Any):
        self.retries = retries
        self.runs_per_job = runs_per_job
        self.parallel = parallel
        self.settings = {"cluster": "local", "folder": folder}
        self.parameters = dict(parameters)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from paribus.extras.cluster.remote import Collection, orders
        from paribus.extras.cluster.slurm import Arrays

        submit = Arrays(self.settings, self.parameters)
        return Collection(submit, self.parallel, self.retries).run(orders(job_overrides, self.runs_per_job))


class RayLauncher(ClusterLauncher):
    """Tasks of a Ray cluster, each in a process of its own.

    init: arguments of ray.init. remote: options of every task, such as memory or runtime_env.
    parallel: at most so many tasks at a time; None for as many as the cluster has room for.
    retries: how often a task whose machine or process died is begun again; its runs go on from their checkpoints.
    """

    def __init__(
        self, init: Mapping[str, Any], remote: Mapping[str, Any], runs_per_job: int, parallel: int | None, retries: int
    ):
        self.init, self.remote = init, remote
        self.runs_per_job, self.parallel, self.retries = runs_per_job, parallel, retries

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from omegaconf import OmegaConf

        from paribus.extras.cluster.ray import Tasks
        from paribus.extras.cluster.remote import Collection, orders

        asked: Any = OmegaConf.to_container(OmegaConf.create({"init": self.init, "remote": self.remote}), resolve=True)
        submit = Tasks(asked["init"], asked["remote"], self.retries)
        return Collection(submit, self.parallel).run(orders(job_overrides, self.runs_per_job))

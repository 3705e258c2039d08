"""The schema of launchers beyond one machine and of searches: conf/hydra/launcher and conf/hparams_search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf

from paribus.config.schema import Count, Free, Positive, Range, Whole, keys, value

Jobs = Annotated[int, Range(least=1, most=100_000)]


@dataclass(frozen=True)
class Slurm:
    """Job arrays of SLURM; what it does not name goes to submitit, which knows its own."""

    folder: str
    name: str
    runs_per_job: Count
    timeout_min: Count
    time_limits: Whole
    retries: Whole
    array_parallelism: Jobs
    signal_delay_s: Whole
    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    gpus_per_node: Whole | None
    cpus_per_task: Count | None
    mem_gb: Positive | None
    setup: tuple[str, ...] | None
    additional_parameters: Free


@dataclass(frozen=True)
class Rehearsal:
    """SLURM's jobs as processes of this machine."""

    folder: str
    runs_per_job: Count
    timeout_min: Count
    parallel: Jobs
    retries: Whole


@dataclass(frozen=True)
class Ray:
    """Tasks of a Ray cluster."""

    init: Free
    remote: Free
    runs_per_job: Count
    parallel: Jobs | None
    retries: Annotated[int, Range(least=0, most=10_000)]


@dataclass(frozen=True)
class Study:
    """A search by Optuna, without the nodes of its sampler and its pruner."""

    n_trials: Count
    n_jobs: Jobs
    seeds: Jobs
    objectives: tuple[str, ...] | None
    storage: str | None
    study_name: str | None
    params: Free | None


@dataclass(frozen=True)
class Sampler:
    """Of a study."""

    seed: Whole
    n_startup_trials: Whole


_SCHEMAS = {
    "hydra_plugins.paribus.cluster.SlurmLauncher": Slurm,
    "hydra_plugins.paribus.cluster.SubmititLocalLauncher": Rehearsal,
    "hydra_plugins.paribus.cluster.RayLauncher": Ray,
    "hydra_plugins.paribus.study.StudySweeper": Study,
}


def plain(node: DictConfig) -> dict[str, Any]:
    """Hydra's node with its interpolations resolved."""
    container = OmegaConf.to_container(node, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(key): item for key, item in container.items()}


def check_settings(where: str, node: Mapping[str, Any]) -> None:
    """Raises UserError for the first setting of a launcher or a search that can't be.

    where: hydra.launcher or hydra.sweeper. Keys that the schema does not name are left to the class itself.
    """
    if (schema := _SCHEMAS.get(str(node.get("_target_")))) is None:
        return
    _check(schema, node, where)
    if schema is Study and isinstance(sampler := node.get("sampler"), Mapping):
        _check(Sampler, sampler, f"{where}.sampler")


def _check(schema: type, node: Mapping[str, Any], where: str) -> None:
    for name, hint in keys(schema).items():
        if name in node:
            value(hint, node[name], f"{where}.{name}")

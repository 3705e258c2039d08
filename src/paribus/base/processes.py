"""Groups of processes: the variables by which a process is told that it is part of one."""

from __future__ import annotations

from collections.abc import Mapping

# Everything by which Lightning or a cluster would tell a process that it is part of some other group, and the seeds of
# another run. Further names that begin with PL_ are the user's.
_GROUP = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that belongs to no group of processes."""
    gone = (*_GROUP, *_SEEDS)  # and what Lightning's Trainer takes for its arguments
    return {key: value for key, value in environment.items() if key not in gone and not key.startswith("PL_TRAINER_")}

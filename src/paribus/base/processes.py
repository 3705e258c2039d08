"""Groups of processes: the variables by which a process is told that it is part of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Everything by which Lightning or a cluster would tell a process that it is part of some other group, and the seeds of
# another run. Further names that begin with PL_ are the user's.
_GROUP = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that belongs to no group of processes."""
    gone = (*_GROUP, *_SEEDS)  # and what Lightning's Trainer takes for its arguments
    return {key: value for key, value in environment.items() if key not in gone and not key.startswith("PL_TRAINER_")}


def is_first() -> bool:
    """Whether this process writes what is written once a run: the first of all its processes, on all its machines."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def by_itself() -> Iterator[None]:
    """Within it this process belongs to no group, whatever it was told: by a shell, a notebook, or a cluster's tool.

    As number 1 of a group it would train and leave writing to number 0, which does not exist.
    """
    kept = scrubbed(os.environ)
    gone = {name: os.environ.pop(name) for name in list(os.environ) if name not in kept}
    shared = sys.modules.get("lightning_utilities.core.rank_zero")
    if shared is not None:  # it has read them when it was imported
        shared.rank_zero_only.rank = 0
    try:
        yield
    finally:
        os.environ.update(gone)

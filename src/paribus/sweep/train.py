"""The Hydra application: `paribus train`, scripts/train.py, and sweeps from Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.types import RunMode
from omegaconf import DictConfig

from paribus.base.terminal import say
from paribus.config import config_dir
from paribus.config.grammar import with_quotes
from paribus.sweep.fork import shared_server
from paribus.sweep.meeting import Node


def main(arguments: Sequence[str] | None = None, node: Node | None = None) -> Any:
    """Run Hydra with these command-line arguments (default: those of the process).

    node: this machine, among several that train the run together."""
    from paribus.config.modes import with_mode

    if arguments is not None:
        sys.argv = ["paribus train", *arguments]
    sys.argv[1:] = map(with_mode, sys.argv[1:])
    # Hydra would print a traceback of its own and exit with 1; we want the exception itself.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = [item if item.startswith("-") else with_quotes(item) for item in sys.argv[1:]]
    if {"-m", "--multirun"} & set(sys.argv):
        say("planning the runs; torch is imported meanwhile")
        shared_server()
    failed: list[Exception] = []

    def task(config: DictConfig) -> float | None:
        """One job of Hydra: trains the run that the config describes, unless it has a record."""
        from hydra.core.hydra_config import HydraConfig

        from paribus.store.store import Store
        from paribus.sweep.afterwords import add_afterwords
        from paribus.sweep.composed import train_composed

        job = HydraConfig.get()
        try:
            record = train_composed(config, job, node)
            if job.mode == RunMode.RUN and not (node and node.number):  # a sweep has the last word itself
                add_afterwords(Store(Path(config.paths.outputs)), [record.id], job.overrides.task)
            metric: float | None = record.metrics.get(config.optimized_metric)
            return metric
        except Exception as error:
            if job.mode == RunMode.MULTIRUN:
                raise  # the sweeper collects the failures of its jobs
            failed.append(error)  # Hydra would print a line of its own about it
            return None

    result = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")(task)()
    if failed:
        raise failed[0]
    return result

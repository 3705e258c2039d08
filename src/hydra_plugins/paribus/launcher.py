"""The launcher behind every `-m`: this machine's slots, a fresh process for each job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ParibusLauncher(Launcher):
    """Hydra's side of `paribus.sweep.local.LocalLauncher`; `given` are its options."""

    def __init__(self, **given: Any):
        self.given = given

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from paribus.config.composer import Composer
        from paribus.sweep.fork import shared_server
        from paribus.sweep.options import Options

        self.options = Options.parse(self.given)
        self.settings = config
        self.composer = Composer(
            lambda overrides: hydra_context.config_loader.load_sweep_config(config, list(overrides)), config
        )
        self.server = shared_server()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from paribus.sweep.local import LocalLauncher

        folder = Path(self.settings.hydra.sweep.dir)
        return LocalLauncher(self.options, self.composer, self.server, folder).launch(job_overrides)

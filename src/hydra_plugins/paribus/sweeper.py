"""The sweeper behind every `-m`: an ablation file, or Hydra's own grammar; trains the cells that have no record yet."""

from __future__ import annotations

from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ParibusSweeper(Sweeper):
    """Plans, hands the missing cells to the launcher, and plans again until nothing is missing.

    on_invalid: stop or skip, see `paribus.sweep.sweep`. params: further axes, which the plan reads.
    """

    def __init__(self, **given: Any):
        from paribus.sweep.options import check_sweeper

        check_sweeper(given)
        self.on_invalid = given.get("on_invalid", "stop")

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.context = hydra_context
        self.settings = config
        self.jobs: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from paribus.config.composer import Composer
        from paribus.sweep.sweep import Sweep

        # Ours remembers what the plan composed, and composes nothing again.
        composer = getattr(self.jobs, "composer", None) or Composer(
            lambda overrides: self.context.config_loader.load_sweep_config(self.settings, list(overrides)),
            self.settings,
        )
        Sweep(arguments, composer, self.jobs.launch, self.settings, self.on_invalid).run()

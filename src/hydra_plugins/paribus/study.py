"""The sweeper of searches by Optuna: conf/hydra/sweeper/optuna.yaml."""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """Hydra's side of `paribus.extras.search.search.Search`, which reads its settings itself."""

    def __init__(self, **settings: Any):
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from paribus.extras.search.settings import settings_of

        self.own, self.nodes = settings_of(config.hydra.sweeper)
        self.context, self.settings = hydra_context, config
        self.jobs: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from paribus.config.composer import Composer
        from paribus.extras.search.search import Search

        # Ours remembers what the search composed, and composes nothing again.
        composer = getattr(self.jobs, "composer", None) or Composer(
            lambda overrides: self.context.config_loader.load_sweep_config(self.settings, list(overrides)),
            self.settings,
        )
        Search(arguments, self.jobs.launch, composer, self.settings, self.own, self.nodes).run()

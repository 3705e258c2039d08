"""Optuna's sweeper for Hydra, with trials that are runs: conf/hparams_search/optuna.yaml."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class StudySweeper(Sweeper):
    """Searches with hydra-optuna-sweeper, whose settings these are. n_trials counts recorded trials as well."""

    def __init__(self, **settings: Any):
        self.optuna = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        from paribus.base.errors import UserError
        from paribus.base.terminal import say
        from paribus.config.composer import Composer
        from paribus.config.task import metrics_of
        from paribus.sweep.settings import check_settings, plain
        from paribus.sweep.study import Trials

        own = config.hydra.sweeper
        if own.storage is not None:
            raise UserError(
                f"hydra.sweeper.storage={own.storage}: a study goes on from the records of its runs, and would count "
                "stored trials twice. Leave it null"
            )
        if own.sampler.get("seed", 0) is None:
            raise UserError(
                "hydra.sweeper.sampler.seed must be a number, got null: a search that was killed resumes by asking for "
                "the same trials again. Try hydra.sweeper.sampler.seed=0"
            )
        check_settings("hydra.sweeper", plain(own))
        sections = {name: OmegaConf.to_container(config[name]) for name in ("task", "metrics") if name in config}
        known = metrics_of(sections)
        metric = known.key(str(config.optimized_metric))
        wanted = "maximize" if known.direction("optimized_metric", metric) else "minimize"
        if (told := getattr(own.direction, "name", own.direction)) is not None:
            if told != wanted:
                raise UserError(
                    f"hydra.sweeper.direction is {told}, but {metric} has the direction {wanted}. "
                    "Leave hydra.sweeper.direction "
                    "out: it follows from optimized_metric"
                )
            say("hydra.sweeper.direction was removed: the direction follows from optimized_metric. Leave it out")
        self.inner = OptunaSweeper(**{**self.optuna, "direction": wanted})
        self.inner.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        search: Any = self.inner.sweeper
        composer = Composer(lambda overrides: hydra_context.config_loader.load_sweep_config(config, list(overrides)))
        self.trials = Trials(search.launcher.launch, composer, config, metric)
        search.launcher = self.trials

    def sweep(self, arguments: list[str]) -> None:
        import logging

        import optuna

        from paribus.sweep.study import check_no_secret

        check_no_secret([*(f"{key}={value}" for key, value in (self.optuna.get("params") or {}).items()), *arguments])
        optuna.logging.set_verbosity(logging.ERROR)
        try:
            self.inner.sweep(arguments)
        except ValueError:
            if self.trials.values:  # else Optuna complains that there is no best trial
                raise
        self.trials.report(arguments)

"""The trials of a study as runs: what has a record is not trained again, what fails is reported and the study goes on.

A study needs no storage of its own. Its sampler has a seed, so the same command asks for the same trials in the same
order; those that were trained before the study was killed are answered by their records at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from paribus.base.atomic import write_atomically
from paribus.base.errors import RunsFailed, UserError
from paribus.base.metrics import Key
from paribus.base.redaction import redacted_override
from paribus.base.terminal import say
from paribus.config.compose import parse_overrides
from paribus.config.composer import Composer
from paribus.config.grammar import literal
from paribus.store.store import Store
from paribus.sweep.afterwords import add_afterwords
from paribus.sweep.jobs import Jobs, Launch


def check_sweeper(settings: Any) -> None:
    """Raises UserError for the plugin's own sweeper, which minimizes whatever a run returns unless it is told."""
    if str(settings.hydra.sweeper.get("_target_")).startswith("hydra_plugins.hydra_optuna_sweeper."):
        raise UserError(
            "hydra/sweeper=optuna ignores the direction of the metric, and would search for the worst accuracy. Use "
            "hparams_search=optuna"
        )


def check_no_secret(overrides: Sequence[str]) -> None:
    """Raises UserError for a secret that is searched over: Optuna logs and writes down the values that it tries.

    overrides: what is searched and what is fixed, KEY=VALUE. A fixed secret is a run's own affair.
    """
    for override in parse_overrides(overrides):
        if override.is_sweep_override() and (shown := redacted_override(override.input_line)) != override.input_line:
            raise UserError(
                f"{shown} searches over a secret, and Optuna writes down each value that it tries. Give it one value"
            )


class Trials:
    """Stands between a sweeper that searches and the launcher that trains for it.

    settings: the composed configuration with Hydra's own node. metric: what the search optimizes, in the direction that
    is better of it. A trial whose metric is not a number, because it diverged, has the worst value and so is a result.
    """

    def __init__(self, launch: Launch, composer: Composer, settings: Any, metric: Key):
        self.store = Store(Path(settings.paths.outputs))
        self.folder = Path(settings.hydra.sweep.dir)
        self.jobs = Jobs(launch, self.store)
        self.composer = composer
        self.metric = metric
        self.total = settings.hydra.sweeper.n_trials
        self.searched = [str(key) for key in settings.hydra.sweeper.params or {}]
        self.values: list[tuple[float, str, str]] = []  # value, trial, run
        self.failures: list[str] = []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """The result of each trial; a failed one has its error instead of a value."""
        trials = [self.identify(list(overrides)) for overrides in job_overrides]
        jobs = {
            id: [*overrides, f"group={literal(self.name)}", f"arm={literal(self.shown(overrides))}"]
            for overrides, (id, _) in zip(job_overrides, trials, strict=True)
            if id is not None
        }
        known = {id for id in jobs if self.jobs.finished(id)}
        failures = self.jobs.train(jobs)
        results = []
        for number, (overrides, (id, answer)) in enumerate(zip(job_overrides, trials, strict=True), initial_job_idx):
            name = self.shown(overrides)
            try:
                if id is None:
                    raise UserError(answer)
                if id in failures:
                    raise UserError(failures[id])
                value = self.value(id, answer)
            except UserError as error:
                say(f"trial {number + 1} of {self.total}: {name}: failed: {error}")
                self.failures.append(f"{name}: {error}")
                results.append(_result(overrides, JobStatus.FAILED, error))
                continue
            self.values.append((value, name, id))
            best, _, _ = self.best()
            source = "  (recorded)" if id in known else ""
            say(f"trial {number + 1} of {self.total}: {name}: {answer} {value:.6g}, best {best:.6g}{source}")
            results.append(_result(overrides, JobStatus.COMPLETED, value))
        self.write()
        return results

    @property
    def name(self) -> str:
        return "search of " + " x ".join(self.searched)

    def shown(self, overrides: Sequence[str]) -> str:
        """What a trial is called: the keys that are searched."""
        parts = [item.partition("=") for item in overrides if item.partition("=")[0] in self.searched]
        return ", ".join(redacted_override(f"{key}={_short(value)}") for key, _, value in parts)

    def identify(self, overrides: Sequence[str]) -> tuple[str | None, str]:
        """The run of a trial and the metric that judges it; None and the reason for a combination that can't be."""
        try:
            id, composed = self.composer.run(overrides)
            if (own := composed.run.optimized_metric) != self.metric:
                raise UserError(f"a search has one optimized_metric, got {own} and {self.metric}. Set it once")
            if (declared := composed.run.declared.of(own)).better != self.metric.metric.better:
                raise UserError(
                    f"a search has one direction, and {own} is declared {declared.better} here and "
                    f"{self.metric.metric.better} elsewhere. Declare it alike for all trials"
                )
            return id, own
        except UserError as error:
            return None, str(error)

    def value(self, id: str, metric: str) -> float:
        record = self.store.read(id)
        assert record is not None, "a run without a record is a failure"
        if metric not in record.metrics:
            raise UserError(f"optimized_metric={metric} is not in the record. It has {', '.join(record.metrics)}")
        value = record.metrics[metric]
        worst = -math.inf if self.metric.metric.higher else math.inf
        return worst if math.isnan(value) else value

    def best(self) -> tuple[float, str, str]:
        return (max if self.metric.metric.higher else min)(self.values, key=lambda each: each[0])

    def report(self, overrides: Sequence[str] = ()) -> None:
        """Say what is best, and what failed. Raises RunsFailed where everything has failed.

        overrides: those of the command line of the search.
        """
        if not self.values:
            raise RunsFailed(self.failures)
        value, name, id = self.best()
        record = self.store.read(id)
        assert record is not None
        say(f"best of {len(self.values)} trials: {value:.6g} with {name}  ({self.store.run_dir(id)})")
        say(f"  {record.provenance.get('command')}")
        if self.failures:
            say(f"{len(self.failures)} trials failed; the same command tries them again:")
            for failure in self.failures:
                say(f"  {failure}")
        add_afterwords(self.store, [id for _, _, id in self.values], overrides)

    def write(self) -> None:
        """The trials so far, as the runs of a sweep: for `paribus table` and `paribus gc`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arms = {name: [id] for _, name, id in self.values}
        plan = {"name": self.name, "keys": self.searched, "arms": arms}
        write_atomically(self.folder / "sweep.json", json.dumps({"plans": [plan]}, indent=1))


def _short(value: str) -> str:
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value


def _result(overrides: Sequence[str], status: JobStatus, value: Any) -> JobReturn:
    result = JobReturn(overrides=list(overrides))
    result.status = status
    result.return_value = value
    return result

"""A search from its command line to its last trial: batches of trials, each of them a run for every seed.

What has a record is not trained again, what fails is reported and the search goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from paribus.base.atomic import write_atomically
from paribus.base.errors import RunsFailed, UserError
from paribus.base.redaction import redacted_text
from paribus.base.terminal import say
from paribus.config.composer import Composer
from paribus.config.grammar import literal
from paribus.config.nodes import class_of
from paribus.config.run import Run
from paribus.config.targets import public_name
from paribus.config.task import LIGHTNING
from paribus.extras.search.objectives import objectives_of, value_of
from paribus.extras.search.settings import check_direction
from paribus.extras.search.space import space_of
from paribus.extras.search.standings import curve_of, judged, pruned_by
from paribus.extras.search.stored import default_storage
from paribus.extras.search.study import RUNS, Study, importances
from paribus.store.history import HistoryError
from paribus.store.lock import exclusive
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.afterwords import add_afterwords
from paribus.sweep.jobs import Jobs, Launch
from paribus.sweep.settings import Study as Settings

CHECKPOINTS = "paribus.callback.Checkpoints"


class Trainings(Jobs):
    """The training of trials: a run that this study has pruned is over as well."""

    def __init__(self, launch: Launch, store: Store, study: str):
        super().__init__(launch, store)
        self.study = study

    def finished(self, id: str) -> bool:
        return super().finished(id) or pruned_by(self.store.read(id), self.study)


@dataclass
class Attempt:
    """A trial and its runs, one for each seed: id -> command line. failure: why there is no value."""

    trial: FrozenTrial
    name: str
    runs: dict[str, list[str]] = field(default_factory=dict)
    failure: str = ""

    @property
    def scout(self) -> str:
        """The run with the first seed, by which pruning decides."""
        return next(iter(self.runs))


class Search:
    """Asks a study for trials, trains them, and tells it what came out.

    arguments: the command line without Hydra's own keys. launch: trains a list of command lines, as any of Hydra's
    launchers does. settings: the composed configuration with Hydra's own node. nodes: of sampler and pruner.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        launch: Launch,
        composer: Composer,
        settings: Any,
        own: Settings,
        nodes: Mapping[str, Mapping[str, Any]],
    ):
        self.arguments = list(arguments)
        self.own = own
        self.composer = composer
        self.store = Store(Path(settings.paths.outputs))
        self.folder = Path(settings.hydra.sweep.dir)
        axes, self.fixed = space_of(own.params, arguments)
        first = self.composer([*self.fixed, *(axis.override(axis.first) for axis in axes)]).run
        self.objectives = objectives_of(own.objectives, first.optimized_metric, first.declared)
        self.prunes = class_of(nodes["pruner"]) != "NopPruner"
        check_direction(settings.hydra.sweeper, self.objectives)
        self._check(first)
        self.first_seed = first.seed
        locks = self.store.locks()  # a folder that can't be written is said before anything is searched
        self.storage = own.storage or default_storage(self.store.root)
        shared = {"runs": first.setting, "first seed": first.seed, "seeds": own.seeds}
        self.study = Study(
            self.storage, own.study_name, axes, self.objectives, nodes["sampler"], nodes["pruner"], shared
        )
        self.lock = locks / f"search-{self.study.name.replace('/', '-')}"
        self.jobs = Trainings(launch, self.store, self.study.name)
        self.failures: list[str] = []

    def _check(self, run: Run) -> None:
        """Raises UserError for settings that can't go together, before anything is searched."""
        if self.prunes and run.task.target == LIGHTNING:
            raise UserError("pruning needs the loop of Paribus, and task=lightning has its own. Leave the pruner out")
        if self.prunes and len(self.objectives) > 1:
            raise UserError(
                f"pruning goes by one objective, got {', '.join(self.objectives)}. Leave hydra/sweeper/pruner out, or "
                "name one"
            )
        if self.prunes and not self.objectives[0].startswith("val/"):
            raise UserError(
                f"pruning goes by the validation, got the objective {self.objectives[0]}. Use a metric that begins "
                "with val/, or leave hydra/sweeper/pruner out"
            )
        if self.prunes and CHECKPOINTS not in (public_name(n.get("_target_")) for n in run.callback_nodes.values()):
            raise UserError("a pruned run is kept in its checkpoint, and callbacks has none. Add callbacks=[default]")

    def run(self) -> None:
        """Search until there are `n_trials`.

        Raises Busy where another command searches in the same study, RunsFailed where every trial has failed.
        """
        with exclusive(self.lock, f"the study {self.study.name}"):
            self._announce()
            self.study.try_again()
            left = self.own.n_trials - self.study.counting
            while True:
                begun = self.study.begun
                batch = self.study.batch(self.own.n_jobs, left)
                if not batch:
                    break
                left -= self.study.begun - begun
                self.train([self.attempt(trial) for trial in batch])
        self.report()

    def _announce(self) -> None:
        if counting := self.study.counting:
            done = counting - len(self.study.trials(TrialState.RUNNING))
            say(f"{self.study.name} goes on: {done} of {self.own.n_trials} trials are done")

    # ------------------------------------------------------------------------------------------ one batch

    def attempt(self, trial: FrozenTrial) -> Attempt:
        """The runs of a trial; none, and the reason, for a combination that can't be."""
        found = Attempt(trial, self.study.shown(trial))
        chosen = [*self.fixed, *self.study.overrides(trial)]
        seeds = [[]] if self.own.seeds == 1 else [[f"seed={self.first_seed + k}"] for k in range(self.own.seeds)]
        labels = [f"group={literal(self.name)}", f"arm={literal(found.name)}"]
        try:
            for seed in seeds:
                line = [*(item for item in chosen if not seed or not item.startswith("seed=")), *seed]
                id, composed = self.composer.run(line)
                self._check_same(composed.run)
                found.runs[id] = [*line, *labels]
        except UserError as error:
            found.failure = str(error)
        return found

    def _check_same(self, run: Run) -> None:
        for objective in self.objectives:
            if (better := run.declared.of(objective).better) not in (objective.metric.better, None):
                raise UserError(
                    f"a search has one direction, and {objective} is declared {better} here and "
                    f"{objective.metric.better} elsewhere. Declare it alike for all trials"
                )

    def train(self, batch: Sequence[Attempt]) -> None:
        """Train the runs of a batch, and tell the study. Where trials may be pruned, the runs of the first seed
        decide, and the others are trained of trials that came through.
        """
        possible = [attempt for attempt in batch if not attempt.failure]
        known = {id for attempt in possible for id in attempt.runs if self.jobs.finished(id)}
        if self.prunes:
            scouts = {attempt.scout: attempt.trial.number for attempt in possible}
            with judged(self.study, scouts, self.folder / "pruning.json"):
                self._train(possible, lambda attempt: [attempt.scout])
        through = [attempt for attempt in possible if not attempt.failure and not self._pruned(attempt)]
        self._train(through, lambda attempt: list(attempt.runs))
        for attempt in batch:
            self.tell(attempt, "  (recorded)" if attempt.runs and known >= {*attempt.runs} else "")
        self.write()

    def _train(self, attempts: Sequence[Attempt], ids_of: Any) -> None:
        lines = {id: attempt.runs[id] for attempt in attempts for id in ids_of(attempt)}
        failures = self.jobs.train(lines)
        for attempt in attempts:
            attempt.failure = next((failures[id] for id in attempt.runs if id in failures), "")

    def _pruned(self, attempt: Attempt) -> bool:
        return self.prunes and pruned_by(self.store.read(attempt.scout), self.study.name)

    def tell(self, attempt: Attempt, source: str) -> None:
        """Tell the study what became of a trial, and a person too."""
        trial, runs = attempt.trial, list(attempt.runs)
        said = f"trial {trial.number + 1} of {self.own.n_trials}: {attempt.name}: "
        try:
            if attempt.failure:
                raise UserError(attempt.failure)
            curve = self._curve(attempt.scout)
            if self._pruned(attempt):
                self.study.prune(trial, [attempt.scout], curve)
                say(f"{said}{(self._record(attempt.scout).failure or {})['message'].partition(' (')[0]}{source}")
                return
            records = [self._record(id) for id in runs]
            values = [value_of(records, objective) for objective in self.objectives]
        except UserError as error:
            self.study.fail(trial, str(error))
            self.failures.append(f"{attempt.name}: {error}")
            say(f"{said}failed: {error}")
            return
        self.study.complete(trial, runs, values, curve)
        best = self.study.best()
        if len(self.objectives) == 1:
            stands = f"best {best[0].value:.6g}"
        else:
            stands = f"{len(best)} trials on the Pareto front"
        say(f"{said}{self._values(values)}, {stands}{source}")

    def _values(self, values: Sequence[float]) -> str:
        return ", ".join(f"{name} {value:.6g}" for name, value in zip(self.objectives, values, strict=True))

    def _record(self, id: str) -> Record:
        record = self.store.read(id)
        assert record is not None, "a run without a record is a failure"
        return record

    def _curve(self, id: str) -> dict[int, float]:
        try:
            return curve_of(self.store.history(id), self.objectives[0])
        except HistoryError:  # a picture of the dashboard, and no more
            return {}

    # ------------------------------------------------------------------------------------------ the outcome

    @property
    def name(self) -> str:
        return "search of " + " x ".join(axis.key for axis in self.study.axes)

    def write(self) -> None:
        """The complete trials so far, as the runs of a sweep: for `paribus table` and `paribus gc`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arms = {self.study.shown(trial): trial.user_attrs[RUNS] for trial in self.study.trials(TrialState.COMPLETE)}
        plan = {"name": self.name, "keys": [axis.key for axis in self.study.axes], "arms": arms}
        write_atomically(self.folder / "sweep.json", json.dumps({"plans": [plan]}, indent=1))

    def report(self) -> None:
        """Say what is best, what explains it, what was pruned and what failed. Raises RunsFailed where everything has
        failed."""
        complete, best = self.study.trials(TrialState.COMPLETE), self.study.best()
        if not complete and self.failures:
            raise RunsFailed(self.failures)
        if len(self.objectives) > 1:
            say(f"Pareto front of {len(complete)} trials ({', '.join(map(self._direction, self.objectives))}):")
        for trial in best:
            self._say_trial(trial, len(complete))
        for objective, shares in importances(self.study.study, self.objectives).items():
            if shares:
                said = ", ".join(f"{key} {share:.2f}" for key, share in shares.items())
                say(f"what explains {objective} (functional ANOVA): {said}")
        if pruned := self.study.trials(TrialState.PRUNED):
            say(f"{len(pruned)} trials were pruned, and their runs are no results: paribus runs status=pruned")
        if self.failures:
            say(f"{len(self.failures)} trials failed; the same command tries them again:")
            for failure in self.failures:
                say(f"  {failure}")
        say(f"study {self.study.name} in {redacted_text(self.storage)}: paribus search, or optuna-dashboard")
        add_afterwords(self.store, [id for trial in complete for id in trial.user_attrs[RUNS]], self.arguments)

    def _direction(self, objective: Any) -> str:
        return f"{objective}: {objective.metric.better} is better"

    def _say_trial(self, trial: FrozenTrial, number: int) -> None:
        name, runs = self.study.shown(trial), trial.user_attrs[RUNS]
        if len(self.objectives) == 1:
            mean = f", the mean of {len(runs)} seeds" if len(runs) > 1 else ""
            value = trial.value if trial.value is not None else math.nan
            say(f"best of {number} trials: {value:.6g} with {name}{mean}  ({self.store.run_dir(runs[0])})")
        else:
            say(f"  {self._values(trial.values)} with {name}  ({self.store.run_dir(runs[0])})")
        record = self.store.read(runs[0])
        if record is not None and (command := record.provenance.get("command")):
            say(f"  {command}")

"""The study of a search in Optuna's storage: what was tried, what it gave, and what to try next.

A search that is killed goes on as if it had not been. A trial that was under way is still running in the storage, and
its runs go on from their records. A stored study that continues would start the random numbers of its sampler again,
and ask for the first trials twice: here each trial has a sampler of its own, with a seed made of the sampler's seed and
the number of the trial. What is asked for is then a function of the trials before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from hydra.utils import instantiate
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from paribus.base.errors import UserError
from paribus.base.metrics import Key
from paribus.base.redaction import redacted_text
from paribus.extras.search.space import Axis

# Attributes of a trial that Optuna's dashboard shows.
BATCH = "batch"  # number of the first trial that was asked for with it
RUNS = "runs"
FAILURE = "failure"
AGAIN = "again"  # number of the failed trial that it repeats
SETTINGS = "settings"  # of the study: what all its trials share

Curve = Mapping[int, float]  # epoch -> validation value


def made(where: str, node: Mapping[str, Any], **kwargs: Any) -> Any:
    """The sampler or pruner of a node. Raises UserError for what can't be made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return instantiate(dict(node), **kwargs)
        except Exception as error:  # Hydra's own, of a missing package, or the class's complaint
            cause = error.__cause__ or error
            raise UserError(f"{where}: {str(cause).splitlines()[0] if str(cause) else type(cause).__name__}") from error


@contextmanager
def quiet(storage: str) -> Iterator[None]:
    """Within it a storage may be opened. Raises UserError for one that can't be used."""
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        yield
    except Exception as error:  # of a database that is not there, or no database, whatever its driver raises
        said = redacted_text(" ".join(str(error).split())[:300])
        raise UserError(
            f"hydra.sweeper.storage={redacted_text(storage)} can't be used: {type(error).__name__}: {said}"
        ) from error


class Study:
    """The trials of a search.

    name: None for one made of the settings, so that a search with other settings is another study.
    sampler, pruner: nodes of Optuna's classes. settings: what its trials share, besides what is known here.
    """

    def __init__(
        self,
        storage: str,
        name: str | None,
        axes: Sequence[Axis],
        objectives: Sequence[Key],
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        settings: Mapping[str, Any],
    ):
        self.axes, self.objectives = axes, objectives
        self.sampler, self.pruner = sampler, pruner
        self.directions = [StudyDirection.MAXIMIZE if o.metric.higher else StudyDirection.MINIMIZE for o in objectives]
        shared = {
            "space": {axis.key: str(axis.distribution) for axis in axes},
            "objectives": [f"{key} {key.metric.better}" for key in objectives],
            "sampler": dict(sampler),
            "pruner": dict(pruner),
            **settings,
        }
        given = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:8]
        self.name = name or f"search-{given}"
        self.seed = sampler.get("seed", 0)
        made("hydra.sweeper.sampler", sampler)  # a mistake is said before anything is stored
        rule = made("hydra.sweeper.pruner", pruner)
        with quiet(storage):
            self.study = optuna.create_study(
                storage=storage,
                study_name=self.name,
                directions=self.directions,
                pruner=rule,
                load_if_exists=True,
            )
        self._check(shared)

    def _check(self, shared: Mapping[str, Any]) -> None:
        """Raises UserError where the study was begun with other settings."""
        known = self.study.user_attrs.get(SETTINGS)
        if known is None and self.study.get_trials(deepcopy=False):
            raise UserError(f"the study {self.name} is not of Paribus. Choose another name: hydra.sweeper.study_name")
        if known is None:
            self.study.set_user_attr(SETTINGS, shared)
        elif other := [key for key in {**known, **shared} if known.get(key) != json.loads(json.dumps(shared.get(key)))]:
            raise UserError(
                f"the study {self.name} was begun with other settings: {', '.join(other)}. Search on with those, or "
                "choose another hydra.sweeper.study_name"
            )

    # ------------------------------------------------------------------------------------------ what was tried

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states, in the order of their numbers; all without any."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def overrides(self, trial: FrozenTrial) -> list[str]:
        return [axis.override(trial.params[axis.key]) for axis in self.axes]

    def shown(self, trial: FrozenTrial) -> str:
        """What a trial is called: the keys that are searched, with its values."""
        return ", ".join(axis.shown(trial.params[axis.key]) for axis in self.axes)

    @property
    def counting(self) -> int:
        """The number of trials that are not to be tried again."""
        return len(self.trials()) - len(self.trials(TrialState.FAIL, TrialState.WAITING))

    @property
    def begun(self) -> int:
        """The number of trials that were asked for."""
        return len(self.trials()) - len(self.trials(TrialState.WAITING))

    def best(self) -> list[FrozenTrial]:
        """The complete trials that no other one beats: the best, or with several objectives their Pareto front."""
        if not self.trials(TrialState.COMPLETE):
            return []
        return [self.study.best_trial] if len(self.objectives) == 1 else self.study.best_trials

    # ------------------------------------------------------------------------------------------ what to try

    def try_again(self) -> None:
        """Queue the failed trials once more."""
        again = {trial.user_attrs.get(AGAIN) for trial in self.trials()}
        for trial in self.trials(TrialState.FAIL):
            if trial.number not in again and len(trial.params) == len(self.axes):
                self.study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})

    def batch(self, size: int, left: int) -> list[FrozenTrial]:
        """The trials to train now: those that were under way when the search was killed, or `size` new ones, of which
        there may be `left` at most. A batch is asked for as a whole, also where a kill has interrupted that."""
        running = self.trials(TrialState.RUNNING)
        first = running[0].user_attrs.get(BATCH, running[0].number) if running else self._next()
        for trial in running:
            self._fill(self._trial(trial), trial.number, first)
        asked = sum(trial.user_attrs.get(BATCH) == first for trial in self.trials())
        for _ in range(min(size - asked, left)):
            number = self._next()
            self.study.sampler = self._sampler(number)
            self._fill(self.study.ask(), number, first)
        return self.trials(TrialState.RUNNING)

    def _next(self) -> int:
        waiting = self.trials(TrialState.WAITING)
        return waiting[0].number if waiting else len(self.trials())

    def _fill(self, trial: Trial, number: int, first: int) -> None:
        """Draw the values that the trial does not have."""
        self.study.sampler = self._sampler(number)
        for axis in self.axes:
            try:
                axis.suggest(trial)
            except ValueError as error:
                raise UserError(f"{axis.key} can't be searched: {error}") from error
        trial.set_user_attr(BATCH, first)

    def _sampler(self, number: int) -> BaseSampler:
        [seed] = np.random.SeedSequence([self.seed, number]).generate_state(1)
        sampler: BaseSampler = made("hydra.sweeper.sampler", self.sampler, seed=int(seed))
        if isinstance(sampler, QMCSampler):  # its sequence belongs to the study; the storage counts its points
            alone = RandomSampler(int(seed))
            sampler = made("hydra.sweeper.sampler", self.sampler, seed=self.seed, independent_sampler=alone)
        return sampler

    # ------------------------------------------------------------------------------------------ what it gave

    def complete(self, trial: FrozenTrial, runs: Sequence[str], values: Sequence[float], curve: Curve) -> None:
        self._report(trial, runs, curve)
        self.study.tell(trial.number, list(values))

    def prune(self, trial: FrozenTrial, runs: Sequence[str], curve: Curve) -> None:
        self._report(trial, runs, curve)
        self.study.tell(trial.number, state=TrialState.PRUNED)

    def fail(self, trial: FrozenTrial, why: str) -> None:
        self._trial(trial).set_user_attr(FAILURE, why)
        self.study.tell(trial.number, state=TrialState.FAIL)

    def _report(self, trial: FrozenTrial, runs: Sequence[str], curve: Curve) -> None:
        told = self._trial(trial)
        told.set_user_attr(RUNS, list(runs))
        if len(self.objectives) == 1:  # Optuna draws and prunes by one
            report(told, curve)

    def _trial(self, trial: FrozenTrial) -> Trial:
        self.study.sampler = RandomSampler(0)  # whatever it draws nobody uses
        return Trial(self.study, trial._trial_id)


def report(trial: Trial, curve: Curve) -> bool:
    """Report a curve to the pruner epoch by epoch, which keeps what it notes of a trial; whether it prunes at the
    last."""
    pruned = False
    for epoch, value in curve.items():
        if epoch not in trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(value, epoch)
            pruned = trial.should_prune()
    return pruned


def importances(study: optuna.Study, objectives: Sequence[str]) -> dict[str, dict[str, float]]:
    """objective -> key -> share of the variance over the space that the key explains (functional ANOVA, Hutter et al.
    2014), largest first; nothing of an objective in which no two trials differ."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found: dict[str, dict[str, float]] = {}
    for k, objective in enumerate(objectives):

        def value(trial: FrozenTrial, k: int = k) -> float:
            return float(trial.values[k])

        values = {value(trial) for trial in complete if math.isfinite(value(trial))}
        found[objective] = {}
        if len(values) > 1:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            try:
                found[objective] = optuna.importance.get_param_importances(study, evaluator=evaluator, target=value)
            except (ValueError, RuntimeError):  # keys of one value only, trees without variance
                continue
    return found

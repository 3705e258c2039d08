"""Pruning: a trial of a search ends early where its validation falls behind.

The record of a pruned run says so. It is no result, so no table counts it; whoever asks for the run later trains it
from its checkpoint to its end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import optuna
import pytorch_lightning as pl
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState, create_trial

from paribus.extras.search.standings import curve_of
from paribus.extras.search.study import made, report
from paribus.store.history import read_history

if TYPE_CHECKING:
    from paribus.run.loop import Loop


class Pruning(pl.Callback):
    """Reports each validation of a run to the pruner, and ends the run where that says so.

    content: of the file that `standings.judged` writes. number: of the trial.
    """

    def __init__(self, content: Mapping[str, Any], number: int):
        optuna.logging.set_verbosity(logging.ERROR)
        self.name, self.objective, self.number = content["study"], content["objective"], number
        self.pruner = made("hydra.sweeper.pruner", content["pruner"])
        study = optuna.create_study(
            study_name=self.name,  # Hyperband draws a trial's bracket from it
            direction=content["direction"],
            pruner=self.pruner,
            sampler=RandomSampler(0),
        )
        study.add_trials([_rebuilt(each) for each in content["trials"]])
        self.trial = Trial(study, study.trials[number]._trial_id)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that goes on has been validated before."""
        loop: Any = pl_module
        if loop.journal.history is not None:
            for epoch, value in curve_of(read_history(loop.journal.history.path), self.objective).items():
                if epoch <= loop.data.cursor.epoch:
                    self.judge(loop, epoch, value)

    def on_validated(self, loop: Loop, metrics: Mapping[str, float]) -> None:
        if not loop.data.exhausted:  # a run that has come to its end has a result
            self.judge(loop, loop.data.cursor.epoch, metrics[self.objective])

    def judge(self, loop: Loop, epoch: int, value: float) -> None:
        if report(self.trial, {epoch: value}):
            rule = type(self.pruner).__name__.removesuffix("Pruner").lower()
            loop.prune(
                f"pruned after epoch {epoch} with {self.objective} {value:.4g} (trial {self.number} of {self.name}, "
                f"{rule})",
                self.name,
            )


def _rebuilt(trial: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    state = TrialState[trial["state"]]
    return create_trial(
        state=state,
        values=trial["values"],
        intermediate_values={int(epoch): value for epoch, value in trial["curve"]},
        system_attrs=dict(trial["notes"]),
    )

"""The base of callbacks that watch one run, whether it trains by itself or in a stack."""

from __future__ import annotations

import pytorch_lightning as pl

from paribus.run.trainee import Trainee


class Observer(pl.Callback):
    """Looks at a run and changes nothing, so it is no part of the run's identity.

    every_update: whether `gradients` and `updated` are called.
    """

    every_update = False

    def gradients(self, run: Trainee, step: int) -> None:
        """After the backward pass and clipping of update number `step`, counted from 0: parameters have gradients."""

    def updated(self, run: Trainee, step: int) -> None:
        """After the optimizer's step, with the number of updates taken."""

    def epoch_ended(self, run: Trainee, step: int) -> None:
        """Before the validation, with the number of updates taken."""

"""The callbacks of a run of task=lightning: Lightning's own, and those of Paribus that work with any module."""

from __future__ import annotations

from typing import Any

from paribus.base.errors import UserError
from paribus.base.lightning_hooks import lightnings
from paribus.config.identity import EARLY_STOPPING
from paribus.config.nodes import target_of
from paribus.config.run import Run
from paribus.extras.lightning.library import Library
from paribus.run.instantiate import instantiate

CHECKPOINTS = "paribus.callback.Checkpoints"
PROGRESS = "paribus.callback.Progress"
# Callbacks of Lightning that search, and the key that is tuned instead.
SEARCHES = {"BatchSizeFinder": "task.datamodule.batch_size", "LearningRateFinder": "task.module.lr"}
# They change the names of weights, and checkpoints don't hold what they have changed.
NOT_RESUMED = frozenset(("ModelPruning",))


def user_callbacks(run: Run, library: Library) -> tuple[list[Any], list[Any]]:
    """Lightning's and the user's callbacks, and those of Paribus that act after each validation."""
    callbacks, hooks = [], []
    for name, node in run.callback_nodes.items():
        where, target = f"callbacks.{name}", target_of(node)
        if target in (CHECKPOINTS, PROGRESS):
            continue
        if target == EARLY_STOPPING:
            hooks.append(instantiate(where, node))
        elif target.startswith("paribus."):
            raise UserError(
                f"{where} acts on every update of task=classification, and Lightning's loop has no such place. Leave "
                f"it out, or name a callback of Lightning: {where}._target_=pytorch_lightning.callbacks.NAME"
            )
        else:
            callback = instantiate(where, node)
            if not isinstance(callback, library.pl.Callback):
                raise UserError(
                    f"{where} must be a callback of {library.pl.__name__}, the package of the module, got "
                    f"{node['_target_']}"
                )
            if found := lightnings(callback) & SEARCHES.keys():
                raise UserError(
                    f"{where} trains a little with many values before the training, so arms would differ in more than "
                    f"what varies. Leave it out, and tune in the ablation: tune: {{{SEARCHES[found.pop()]}: [...]}}"
                )
            callbacks.append(callback)
    return callbacks, hooks

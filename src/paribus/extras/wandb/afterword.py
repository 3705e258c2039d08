"""The last word of a training: how many runs W&B has not got, and the command that uploads them.

Each run writes the same into its log, where nobody looks who believes that W&B has everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from paribus.extras.wandb.access import base_url, has_key
from paribus.extras.wandb.parts import is_unsent
from paribus.store.store import Store
from paribus.sweep.afterwords import command_on


def afterword(store: Store, ids: Iterable[str], overrides: Sequence[str]) -> str | None:
    """One line where some of these runs log to W&B and it has not got them, whole; None otherwise.

    overrides: those of the training. The command names its ablation, or else all runs of its folder.
    """
    every = list(ids)
    if not (waiting := sum(is_unsent(store, id, base_url()) for id in every)):
        return None
    which = "this run" if len(every) == 1 else f"{waiting} of these {len(every)} runs"
    return f"W&B has not got {which}{_why()}. To upload: {command_on('sync', overrides)}"


def _why() -> str:
    if (mode := os.environ.get("WANDB_MODE")) in ("offline", "dryrun"):
        return f" (WANDB_MODE={mode})"
    return "" if has_key() else f": there is no key for {base_url()} (set WANDB_API_KEY, or run: wandb login)"

"""The last words of a training, which extras add: what a person has to know who closes the terminal now."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from paribus.base.extras import offered
from paribus.base.redaction import redacted_override
from paribus.base.terminal import say
from paribus.store.store import Store


def add_afterwords(store: Store, ids: Iterable[str], overrides: Sequence[str]) -> None:
    """Say what the extras have to say of these runs. overrides: those of the command line that trained them."""
    runs = list(dict.fromkeys(ids))
    for afterword in offered("afterword"):
        if line := afterword(store, runs, overrides):
            say(line)


def command_on(name: str, overrides: Sequence[str]) -> str:
    """The command that finds the runs of a training: with its ablation as it was trained. Without an ablation, commands
    that read records take nothing but their place.

    name: of the command. overrides: those of the training; secrets among them are left to the reader.
    """
    keys = [item.partition("=")[0].strip().lstrip("+~") for item in overrides]
    whole = "ablation" in keys
    kept = [item for item, key in zip(overrides, keys, strict=True) if whole or key.partition(".")[0] == "paths"]
    return shlex.join(["paribus", name, *map(redacted_override, kept)])

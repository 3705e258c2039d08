"""The last words of a training, which extras add: what a person has to know who closes the terminal now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paribus.base.extras import offered
from paribus.base.terminal import say
from paribus.store.store import Store


def add_afterwords(store: Store, ids: Iterable[str], overrides: Sequence[str]) -> None:
    """Say what the extras have to say of these runs. overrides: those of the command line that trained them."""
    runs = list(dict.fromkeys(ids))
    for afterword in offered("afterword"):
        if line := afterword(store, runs, overrides):
            say(line)

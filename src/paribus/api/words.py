"""Overrides as Python gives them: words of the command line, and keywords with values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from paribus.base.errors import UserError


def words(overrides: tuple[str, ...], settings: Mapping[str, Any]) -> list[str]:
    """The command line of these words and keywords.

    Raises UserError for a word that is no override: an option, or a value that is no text.
    """
    from paribus.config.grammar import override_value

    for word in overrides:
        if not isinstance(word, str):
            raise UserError(f"overrides are words such as 'optimizer.lr=0.1', got {word!r}. Values can be keywords")
        if word.startswith("-"):
            remedy = "multirun=True" if word in ("-m", "--multirun") else "a keyword argument"
            raise UserError(f"{word} is an option of the command; in Python it is {remedy}")
    return [*overrides, *(f"{key}={override_value(_plain(value))}" for key, value in settings.items())]


def _plain(value: Any) -> Any:
    """Numbers of NumPy and torch as Python's, paths as text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") and not isinstance(value, str) else value


@contextmanager
def own_hydra() -> Iterator[None]:
    """A Hydra of ours, whatever the caller has initialized; the caller's is back afterwards."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from paribus.config import config_dir

    theirs, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3", job_name="train"):
            yield
    finally:
        GlobalHydra.instance().hydra = theirs

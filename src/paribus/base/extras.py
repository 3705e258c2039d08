"""Extras: the packages of paribus/extras, each of which may be deleted.

The core never imports one. It asks for what they offer under a name, and does without what isn't there. The module
`offers` of an extra holds what it offers, and imports nothing that takes time.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError

_FOLDER = Path(__file__).parents[1] / "extras"


@functools.cache
def present() -> tuple[str, ...]:
    """The names of the extras that offer something."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/offers.py")))


def installed() -> tuple[str, ...]:
    """The names of all extras that were not deleted, also of those that offer the core nothing."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/__init__.py")))


def offered(name: str) -> list[Any]:
    """What the extras offer under this name, in the order of their names."""
    modules = [importlib.import_module(f"paribus.extras.{extra}.offers") for extra in present()]
    return [getattr(module, name) for module in modules if hasattr(module, name)]


def deleted(error: BaseException | None) -> str | None:
    """The name of the extra that a failed import asks for and that is not there; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not (error.name or "").startswith("paribus.extras."):
        return None
    extra = (error.name or "").split(".")[2]
    return None if (_FOLDER / extra / "__init__.py").exists() else extra


@contextmanager
def needed_by(user: str) -> Iterator[None]:
    """For imports of extras by what stands above them.

    Raises UserError, in place of the failed import, where the extra was deleted. user: who needs it, for the message.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (extra := deleted(error)) is None:
            raise
        raise UserError(
            f"{user} needs the extra {extra}, which this installation lacks: the folder {_FOLDER / extra} was deleted. "
            "Install Paribus again to have it"
        ) from None

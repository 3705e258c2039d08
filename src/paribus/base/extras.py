"""Extras: the packages of paribus/extras, each of which may be deleted.

The core never imports one. It asks for what they offer under a name, and does without what isn't there. The module
`offers` of an extra holds what it offers, and imports nothing that takes time.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1] / "extras"


@functools.cache
def present() -> tuple[str, ...]:
    """The names of the extras that are there."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/offers.py")))


def offered(name: str) -> list[Any]:
    """What the extras offer under this name, in the order of their names."""
    modules = [importlib.import_module(f"paribus.extras.{extra}.offers") for extra in present()]
    return [getattr(module, name) for module in modules if hasattr(module, name)]

"""Callables of others: what can be asked of them without calling them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function or class by their names; none of a builtin that does not tell them."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}

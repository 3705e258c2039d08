"""Callables of others: what can be asked of them without calling them.

A class that hands its **kwargs on to its parent takes what the parent takes.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
import typing
from collections.abc import Mapping
from itertools import pairwise, takewhile
from typing import Any

Parameters = Mapping[str, inspect.Parameter]
_TORCHS = ("torch.nn.modules.module", "Module.__init__")  # which is not imported for this


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function or class by their names; none of a builtin that does not tell them."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


@functools.cache
def expected(target: Any) -> tuple[Parameters | None, dict[str, Any]]:
    """The parameters of a target and their types; None for a builtin that does not tell. Looked up once.

    Whatever is open-ended, so that further names may be right, has a parameter of the kind VAR_KEYWORD.
    """
    try:
        parameters: Parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None, {}
    hints = _hints(target.__init__ if inspect.isclass(target) else target)
    if inspect.isclass(target) and open_ended(parameters):
        return _through_parents(target, parameters, hints)
    return parameters, hints


def open_ended(parameters: Parameters | None) -> bool:
    """Whether a target takes any name, as far as its signature tells."""
    return parameters is None or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _through_parents(target: type, parameters: Parameters, hints: dict[str, Any]) -> tuple[Parameters, dict[str, Any]]:
    """Parameters and types of a constructor, with those of the constructors that get its **kwargs."""
    constructors = [vars(each)["__init__"] for each in target.__mro__ if "__init__" in vars(each)]
    found, types = dict(parameters), dict(hints)
    given: set[str] = set()  # what a class gives its parent itself
    for own, parent in pairwise(constructors):
        call = _handed_on(own)
        if call is None:
            break
        found = {name: each for name, each in found.items() if each.kind is not each.VAR_KEYWORD}
        if (parent.__module__, parent.__qualname__) == _TORCHS:  # takes **kwargs, and refuses each
            break
        theirs = list(inspect.signature(parent).parameters.values())[1:]  # without self
        places = len(list(takewhile(lambda each: not isinstance(each, ast.Starred), call.args)))
        given |= {each.name for each in theirs[:places]}
        given |= {each.arg for each in call.keywords if each.arg is not None}
        found |= {each.name: each for each in theirs if each.name not in given and each.name not in found}
        types = {**_hints(parent), **types}
        if not open_ended(found):
            break
    return found, types


def _handed_on(constructor: Any) -> ast.Call | None:
    """The call super().__init__(..., **kwargs) of a constructor that does nothing else with its **kwargs."""
    try:
        [function] = ast.parse(textwrap.dedent(inspect.getsource(constructor))).body
    except (OSError, SyntaxError, TypeError, ValueError):  # no source, or not that of a function alone
        return None
    if not isinstance(function, ast.FunctionDef) or function.args.kwarg is None:
        return None
    name = function.args.kwarg.arg
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    calls = [call for call in calls if re.fullmatch(r"super\(.*\)\.__init__", ast.unparse(call.func))]
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name]
    passed = [each.value for call in calls for each in call.keywords if each.arg is None]
    return calls[0] if len(calls) == 1 and len(uses) == 1 and passed == uses else None


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # annotations of third parties may name what only their type checker imports
        return {}

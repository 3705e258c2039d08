"""The construction of objects from config nodes. A mistake in a node becomes one message that names it."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from paribus.base.callables import expected, open_ended
from paribus.base.errors import UserError
from paribus.base.text import near
from paribus.base.typed import typed
from paribus.config.arguments import finite
from paribus.config.nodes import as_hydra_gives
from paribus.run.targets import find, locate, named_packages


def instantiate(where: str, node: Mapping[str, Any], *, choice: str | None = None, **kwargs: Any) -> Any:
    """The object of the node that is called `where` in the config: its target, called with its values and `kwargs`.

    A node with `_partial_: true` gives a functools.partial, `_args_` are its first arguments, and nodes within it are
    instantiated first, unless it says `_recursive_: false`. With `_convert_: none` mappings and lists are those of
    Hydra, and types are left to the target. Every target must be one that a config may name.

    choice: what the target's own complaints are said to be about, where that is more than the node.

    Raises UserError for a key that the target does not take (with the nearest name), a value of the wrong type, a
    missing optional package, and any ValueError or TypeError of the target itself.
    """
    check_arguments(where, node)
    try:
        make = _deferred(where, node)
        return functools.partial(make, **kwargs) if node.get("_partial_") else make(**kwargs)
    except (ValueError, TypeError) as error:
        cause, place = _cause(error), choice or where
        raise UserError(cause if cause.startswith(place) else f"{place}: {cause}") from error


def asked_for(where: str, node: Mapping[str, Any], **offered: Any) -> dict[str, Any]:
    """Those of the offered arguments that the target of a node takes.

    **kwargs take all of them, but not those of torch.nn.Module, which a class without a constructor inherits, nor those
    of an installed library, which hand them on to something that was not written for Paribus.
    """
    target = locate(where, node.get("_target_"))
    parameters, _ = expected(target)
    inherited = getattr(target, "__init__", None) is nn.Module.__init__
    if open_ended(parameters) and not inherited and target.__module__.partition(".")[0] not in named_packages():
        return offered
    return {name: value for name, value in offered.items() if name in (parameters or ())}


def arguments_of(where: str, node: Mapping[str, Any]) -> dict[str, bool]:
    """The arguments of a node's target, as far as its signature names them, and whether each must be given."""
    parameters, _ = expected(locate(where, node.get("_target_")))
    return {name: each.default is each.empty for name, each in (parameters or {}).items()}


def _deferred(where: str, node: Mapping[str, Any]) -> functools.partial[Any]:
    """The target of a node with the values of the node."""
    within = _value if node.get("_recursive_", True) else _as_it_is
    hints = expected(locate(where, node["_target_"]))[1]
    args = [within(f"{where}._args_.{k}", item) for k, item in enumerate(node.get("_args_", ()))]
    values = {key: within(f"{where}.{key}", item) for key, item in node.items() if not _is_directive(key)}
    if node.get("_convert_") == "none":
        values = {key: as_hydra_gives(item) for key, item in values.items()}
    for key, value in values.items():  # a configuration has no tensors
        if isinstance(value, list) and Tensor in (hints.get(key), *typing.get_args(hints.get(key))):
            values[key] = torch.tensor(value, dtype=torch.get_default_dtype())
    return functools.partial(locate(where, node["_target_"]), *args, **values)


def _value(where: str, item: Any) -> Any:
    """A value of a node, with the nodes within it instantiated."""
    if isinstance(item, Mapping):
        if "_target_" in item:
            make = _deferred(where, item)
            return make if item.get("_partial_") else make()
        return {key: _value(f"{where}.{key}", each) for key, each in item.items()}
    if isinstance(item, list | tuple):
        return [_value(f"{where}.{k}", each) for k, each in enumerate(item)]
    return item


def _as_it_is(where: str, item: Any) -> Any:
    return item


def check_arguments(where: str, node: Mapping[str, Any]) -> None:
    """Compare the keys and the types of the values of a node with its target's signature."""
    if not isinstance(node, Mapping):
        raise UserError(f"{where} holds a _target_ and its values by name, and can't be {node!r} itself")
    if not isinstance(node.get("_partial_", False), bool):
        raise UserError(f"{where}._partial_ must be true or false, got {node['_partial_']!r}")
    parameters, hints = expected(locate(where, node.get("_target_")))
    if parameters is None:  # a builtin without a signature
        return
    for key, value in node.items():
        if _is_directive(key):
            continue
        if key not in parameters:
            if open_ended(parameters):
                _check_words(f"{where}.{key}", value)
                finite(f"{where}.{key}", value, None)
                continue
            hint = near(key, parameters)
            raise UserError(f"{where}.{key}: {_name(node)} takes no {key}.{hint} It takes {', '.join(parameters)}")
        if node.get("_convert_") == "none":
            continue
        if hints.get(key, Any) is Any:
            _check_words(f"{where}.{key}", value)
        elif not fits(value, hints[key]):
            raise UserError(
                f"{where}.{key} must be {_describe(hints[key])}, got {value!r} ({type(value).__name__}). "
                f"Write {typed(f'{where}.{key}', 'VALUE')} with such a value"
            )
        finite(f"{where}.{key}", value, parameters[key].default)


def _check_words(key: str, value: Any) -> None:
    """A word that spells a boolean is true to Python, whatever it says; of an argument without a type it is refused."""
    if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off"):
        raise UserError(f"{key} must be true or false, got the word {value!r}. Write it without quotes")


def fits(value: Any, hint: Any) -> bool:
    """Whether a config value is possible for an annotation. Only plain types are judged, anything else passes."""
    if hint is Any or isinstance(hint, str | typing.TypeVar):
        return True
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in typing.get_args(hint))
    if isinstance(value, Mapping):  # of values, or an object that is yet to be made
        return origin is not typing.Literal and hint not in (None, type(None), bool, int, float, str)
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if value is None or isinstance(value, str | bool | int | float):  # not for a list, nor for a class of objects
        if origin is not None:  # asked first: to Python 3.10 list[int] is a class, too
            return False
        return not inspect.isclass(hint) or isinstance(value, hint)
    return True


def _is_directive(key: str) -> bool:
    return key.startswith("_") and key.endswith("_")


_NAMES = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a word",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    type(None): "null",
    None: "null",
}


def _describe(hint: Any) -> str:
    """What a parameter with this annotation takes, in the words of a configuration."""
    origin = typing.get_origin(hint)
    if (name := _NAMES.get(origin or hint)) is not None:
        return name
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        # Those that a configuration can write: of "float | Tensor" a number.
        plain = [option for option in options if option in _NAMES or typing.get_origin(option) is not None]
        return " or ".join(_describe(option) for option in plain or options)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    return f"an object of {hint.__qualname__}" if inspect.isclass(hint) else str(hint).replace("typing.", "")


def look_up(targets: Iterable[str]) -> None:
    """Import targets and look at their signatures now, so that instantiating them need not."""
    for target in targets:
        with suppress(UserError):  # whoever needs it will say so
            expected(find("", target))


def sources(targets: Iterable[str]) -> list[str]:
    """The files that hold the code of these targets: their modules', and all loaded ones of a user's own package."""
    found = set()
    for target in targets:
        top = target.partition(".")[0]
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            own = name == target.rpartition(".")[0]
            if file and (own or (name.partition(".")[0] == top and "-packages" not in file)):
                found.add(file)
    return sorted(found)


def _name(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rsplit(".", 1)[-1]


def _cause(error: BaseException) -> str:
    """The innermost message: what the target itself complained of."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__

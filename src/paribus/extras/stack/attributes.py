"""Tensors and state that objects keep in attributes, in closures, in classes and in their modules' globals.

A stack runs the code of one replica for all. Parameters and buffers are stacked; everything else is that one replica's.
So whatever a module keeps elsewhere must be equal in all replicas, must stay what it is while the network trains, and
must not be a tensor: a tensor may differ from replica to replica, and nobody would stack it.
"""

from __future__ import annotations

import collections.abc
import enum
import functools
import hashlib
import random
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from paribus.base.torch_internals import has_gradient_hooks, has_hooks

MOST = 200_000  # values to look at: beyond it, nobody could say what the code depends on
_STATE = ("_parameters", "_buffers", "training", "_non_persistent_buffers_set", "_is_full_backward_hook")
# What Python puts into a class when somebody asks for its annotations, or copies an object of it.
_LAZY = {"__annotations__", "__annotations_cache__", "__annotate__", "__annotate_func__", "__slotnames__"}
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), enum.Enum)
_TORCH = (torch.dtype, torch.device, torch.Size, torch.memory_format, torch.layout)
_BY_NAME = (type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)

Values = dict[str, Any]


class Unstackable(Exception):
    """A stack can't stand for single runs of this code. The message says why."""


def attributes(thing: object, name: str) -> Values:
    """Where -> value, of everything that `thing` keeps beside parameters and buffers.

    Raises Unstackable for tensors, arrays, random streams and iterators kept there, and for hooks.
    """
    look = _Look()
    look.at(thing, name)
    return look.values


def surroundings(*things: object) -> Values:
    """Where -> value, of class attributes and globals of strangers' modules that the code of `things` can reach.

    Raises Unstackable as `attributes` does.
    """
    look = _Look()
    for thing in things:
        look.at(thing, "")
    return look.globals()


def first_difference(one: Values, other: Values) -> str | None:
    """Where two looks differ first; None where they are equal."""
    for where in [*one, *(where for where in other if where not in one)]:
        if where not in one or where not in other or one[where] != other[where]:
            return where
    return None


class _Look:
    def __init__(self) -> None:
        self.values: Values = {}
        self._seen: dict[int, Any] = {}  # which keeps them alive: an id is used again otherwise
        self._strangers: dict[int, Any] = {}  # classes and functions of strangers

    def at(self, value: Any, where: str) -> None:
        if len(self._seen) > MOST:
            raise Unstackable(f"{where} leads to more than {MOST} values, which are too many to compare")
        if isinstance(value, _PLAIN):
            self.values[where] = (type(value).__name__, repr(value))
            return
        if isinstance(value, _TORCH):
            self.values[where] = str(value)
            return
        if isinstance(value, _BY_NAME):
            self.note(value)
            self.values[where] = ("object", id(value))
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, nn.Module):
            self._module(value, where)
        elif isinstance(value, Tensor):
            raise Unstackable(
                f"{where} is a tensor that is neither a parameter nor a buffer (register_buffer makes it a buffer)"
            )
        elif _is_array(value):
            raise Unstackable(f"{where} is an array that is neither a parameter nor a buffer")
        elif isinstance(value, torch.Generator | random.Random) or type(value).__module__.startswith("numpy.random"):
            raise Unstackable(f"{where} is a random generator of its own")
        elif isinstance(value, Mapping):
            self._mapping(value, where)
        elif isinstance(value, list | tuple | collections.deque):
            self.values[where] = (type(value).__name__, len(value))
            for number, item in enumerate(value):
                self.at(item, f"{where}[{number}]")
        elif isinstance(value, set | frozenset):
            self.values[where] = (type(value).__name__, sorted(map(repr, value)))
        elif isinstance(value, collections.abc.Iterator):
            raise Unstackable(f"{where} is an iterator, which has another position in every call")
        else:
            self._object(value, where)

    def _module(self, module: nn.Module, where: str) -> None:
        self.note(type(module))
        # torch makes a class anew for each module that it parametrizes.
        self.values[where] = ("module", str(type(module)) if is_ours(type(module)) else id(type(module)))
        if has_hooks(module):
            raise Unstackable(f"{where} has hooks")
        for name, own in vars(module).items():
            if name == "_modules":
                for child, value in own.items():
                    self.at(value, f"{where}.{child}")
            elif name not in _STATE and name not in _HOOKS and not (is_ours(type(module)) and isinstance(own, _PLAIN)):
                self.at(own, f"{where}.{name}")
        for name, parameter in module._parameters.items():
            if isinstance(parameter, nn.parameter.UninitializedParameter):
                raise Unstackable(f"{where}.{name} has no shape before the first call")
            if parameter is not None and has_gradient_hooks(parameter):
                raise Unstackable(f"{where}.{name} has hooks")

    def _mapping(self, value: Mapping[Any, Any], where: str) -> None:
        self.values[where] = (type(value).__name__, len(value))
        for number, (key, item) in enumerate(list(value.items())):
            shown = key if isinstance(key, str | int) else number
            self.at(key, f"{where}'s key {number}")
            self.at(item, f"{where}[{shown!r}]")

    def _object(self, value: Any, where: str) -> None:
        self.note(type(value))
        self.values[where] = ("object of", id(type(value)))
        if isinstance(value, functools.partial):
            for part in ("func", "args", "keywords"):
                self.at(getattr(value, part), f"{where}.{part}")
        elif isinstance(value, types.MethodType):
            self.at(value.__func__, where + "()")
            self.at(value.__self__, where + ".__self__")
        elif isinstance(value, types.FunctionType):
            self.note(value)
            self.values[where] = ("function", id(value.__code__))
            if _is_known(value.__module__) and not value.__closure__:
                return
            for number, cell in enumerate(value.__closure__ or ()):
                try:
                    self.at(cell.cell_contents, f"{where}'s {value.__code__.co_freevars[number]}")
                except ValueError:  # an empty cell
                    continue
            self.at(value.__defaults__, f"{where}'s defaults")
            self.at(value.__kwdefaults__, f"{where}'s defaults by name")
            self.at(value.__dict__, f"{where}'s attributes")
        else:
            for name, item in [*getattr(value, "__dict__", {}).items(), *_slots(value)]:
                self.at(item, f"{where}.{name}")

    # ------------------------------------------------------------------------------------------ classes and globals

    def note(self, thing: Any) -> None:
        """Classes and functions of strangers, which `globals` looks into."""
        for each in getattr(thing, "__mro__", (thing,)):
            if isinstance(each, type | types.FunctionType) and not _is_known(each.__module__):
                self._strangers.setdefault(id(each), each)

    def globals(self) -> Values:
        """What is kept in the noted classes, and in the globals that their functions name."""
        found: Values = {}
        waiting = list(self._strangers.values())
        seen = set(self._strangers)
        while waiting:
            thing = waiting.pop()
            if isinstance(thing, type):
                own = [(name, value) for name, value in list(vars(thing).items()) if name not in _LAZY]
                items = [(f"{thing.__name__}.{name}", value) for name, value in own]
            else:
                items = [(f"{thing.__module__}.{name}", value) for name, value in _globals_of(thing)]
            for where, value in items:
                value = _unwrapped(value)
                if isinstance(value, type | types.FunctionType):
                    if id(value) not in seen and not _is_known(value.__module__):
                        seen.add(id(value))
                        waiting.append(value)
                else:
                    found[where] = _brief(value)
        return found


def is_ours(cls: type) -> bool:
    """Whether a class is Paribus's or torch's own."""
    return cls.__module__.partition(".")[0] in ("paribus", "torch")


def _is_known(module: str | None) -> bool:
    top = str(module).partition(".")[0]
    return top in ("paribus", "torch", "numpy", "pytorch_lightning", "lightning_fabric") or (
        top in sys.stdlib_module_names and top != "__main__"
    )


def _is_array(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("numpy", "jax", "cupy") and hasattr(value, "dtype")


def _slots(value: Any) -> Iterator[tuple[str, Any]]:
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and name not in ("__dict__", "__weakref__"):
                yield name, getattr(value, name)


def _unwrapped(value: Any) -> Any:
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return value.fget if isinstance(value, property) else value


def _globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for name in code.co_names:
            if name in function.__globals__:
                yield name, function.__globals__[name]


def _brief(value: Any) -> Any:
    """What tells whether a global has changed: plain values and what holds them by value, tensors by their content."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, Tensor):
        return hashlib.sha256(
            value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        ).hexdigest()
    if _is_array(value):
        return hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, collections.abc.Iterator):
        return id(value), repr(value)  # count(3) tells where it is
    containers = (Mapping, list, tuple, set, frozenset, collections.deque)
    if not isinstance(value, containers) and _is_known(type(value).__module__):
        return id(value)  # a logger, say, from which everything can be reached
    look = _Look()
    try:
        look.at(value, "")
    except Unstackable:  # a tensor or a stream within: which object it is must do
        return id(value)
    return tuple(sorted((where, repr(item)) for where, item in look.values.items()))

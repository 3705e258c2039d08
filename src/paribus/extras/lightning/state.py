"""State of a module and its data that a state_dict lacks: numbers in attributes, buffers that are not persistent,
sums of metrics, generators. A checkpoint of Lightning holds none of these, so a run that goes on would have lost them.

Everything is kept as tensors and plain values, so that a checkpoint loads with weights_only=True.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

_MOST = 2**20  # numbers of one attribute
_DEPTH = 4  # of objects within the data module
_INTERNAL = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, str, type(None))
_Generators = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
State = dict[str, Any]


def module_state(module: nn.Module, internal: frozenset[str]) -> State:
    """Attributes of a module and of those within it, its buffers that are not persistent, what of it is trained
    (requires_grad), and which of its modules are in evaluation.

    internal: the names of Lightning's own attributes.
    """
    found: State = {}
    saved = module.state_dict().keys()
    for name, buffer in module.named_buffers():
        if name not in saved:
            found[f"buffer {name}"] = buffer.detach().clone()
    found["untrained parameters"] = [name for name, p in module.named_parameters() if not p.requires_grad]
    found["evaluating modules"] = [name for name, each in module.named_modules() if not each.training]
    for owner, key, value in _attributes(module, internal):
        if isinstance(value, _Generators):
            found[f"generator {owner}.{key}"] = generator_state(value)
        elif is_plain(value):
            found[f"attribute {owner}.{key}"] = _copied(value)
    return found


def restore_module(module: nn.Module, internal: frozenset[str], state: Mapping[str, Any]) -> None:
    """Give a module what `module_state` found in it. What it does not have any more is left out."""
    buffers = dict(module.named_buffers())
    owners = dict(module.named_modules())
    present = {f"{owner}.{key}": value for owner, key, value in _attributes(module, internal)}
    for name, p in module.named_parameters():
        if p.is_leaf and p.is_floating_point():
            p.requires_grad_(name not in state["untrained parameters"])
    for name, each in owners.items():
        each.training = name not in state["evaluating modules"]
    with torch.no_grad():
        for label, value in state.items():
            what, _, name = label.partition(" ")
            if what == "buffer" and name in buffers:
                buffers[name].copy_(value)
            elif what == "generator" and name in present:
                set_generator(present[name], value)
            elif what == "attribute":
                owner, _, key = name.rpartition(".")
                if owner in owners:
                    setattr(owners[owner], key, _on_device(value, present.get(name)))


def callback_state(callbacks: Iterable[Any]) -> State:
    """Plain attributes of callbacks: Lightning keeps only what their state_dict returns, and most have none."""
    return {
        f"{number}.{key}": _copied(value)
        for number, callback in enumerate(callbacks)
        for key, value in vars(callback).items()
        if is_plain(value)
    }


def restore_callbacks(callbacks: Iterable[Any], state: Mapping[str, Any]) -> None:
    """Give callbacks what `callback_state` found in them."""
    for number, callback in enumerate(callbacks):
        for key, present in list(vars(callback).items()):
            if f"{number}.{key}" in state and is_plain(present):
                setattr(callback, key, _on_device(state[f"{number}.{key}"], present))


def object_state(things: Mapping[str, Any], skipped: Iterable[type], ours: Any = None) -> State:
    """Numbers and generators within objects, such as a data module and the data sets of loaders.

    skipped: classes whose objects are not looked into. ours: whether a generator need not be kept.
    """
    found: State = {}
    for name, owner, key, value in _walk(things, tuple(skipped)):
        if isinstance(value, _Generators):
            if ours is None or not ours(value):
                found[f"generator {name}.{key}"] = generator_state(value)
        elif type(value) in _PLAIN and isinstance(vars(owner).get(key), _PLAIN):
            found[f"attribute {name}.{key}"] = value
    return found


def restore_objects(things: Mapping[str, Any], skipped: Iterable[type], state: Mapping[str, Any]) -> None:
    """Give objects what `object_state` found in them."""
    for name, owner, key, value in list(_walk(things, tuple(skipped))):
        if (label := f"generator {name}.{key}") in state and isinstance(value, _Generators):
            set_generator(value, state[label])
        elif (label := f"attribute {name}.{key}") in state and vars(owner).get(key) != state[label]:
            object.__setattr__(owner, key, state[label])


def is_plain(value: Any, left: int = _MOST) -> bool:
    """Whether a value is a number, a text, a tensor that is no parameter, or a collection of such of moderate size."""
    if type(value) in _PLAIN:
        return True
    if isinstance(value, Tensor):
        return type(value) is Tensor and not value.requires_grad and value.numel() <= left
    if type(value) in (list, tuple):
        return len(value) <= left and all(is_plain(each, left // max(1, len(value))) for each in value)
    if type(value) is dict:
        return len(value) <= left and all(
            type(key) in _PLAIN and is_plain(each, left // max(1, len(value))) for key, each in value.items()
        )
    return False


def generator_state(generator: Any) -> Any:
    """The state of a generator, as tensors and plain values."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        version, internal, following = generator.getstate()
        return [version, list(internal), following]
    state = generator.bit_generator.state if isinstance(generator, np.random.Generator) else _legacy(generator)
    return _without_arrays(state)


def set_generator(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state.cpu())
    elif isinstance(generator, random.Random):
        version, internal, following = state
        generator.setstate((version, tuple(internal), following))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = _with_arrays(state)
    else:
        generator.set_state(_with_arrays(state))


def _legacy(generator: np.random.RandomState) -> Any:
    return generator.get_state(legacy=False)


def _without_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_arrays(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"array", "dtype"}:
            return np.asarray(value["array"], dtype=value["dtype"])
        return {key: _with_arrays(each) for key, each in value.items()}
    return value


def _attributes(module: nn.Module, internal: frozenset[str]) -> Iterator[tuple[str, str, Any]]:
    """(path of the module, attribute, value) of all attributes that are neither torch's nor Lightning's."""
    for path, each in module.named_modules():
        skipped = _INTERNAL | internal if each is module else _INTERNAL
        for key, value in vars(each).items():
            if key not in skipped:
                yield path, key, value


def _walk(things: Mapping[str, Any], skipped: tuple[type, ...]) -> Iterator[tuple[str, Any, str, Any]]:
    """(path, owner, attribute, value) of the plain values and generators within objects."""
    seen: set[int] = set()
    waiting = [(name, thing, 0) for name, thing in things.items()]
    while waiting:
        name, thing, depth = waiting.pop(0)
        if id(thing) in seen or not hasattr(thing, "__dict__") or isinstance(thing, (*skipped, type, nn.Module)):
            continue
        seen.add(id(thing))
        if type(thing).__module__.partition(".")[0] in sys.stdlib_module_names:  # of processes, threads and files
            continue
        for key, value in vars(thing).items():
            if isinstance(thing, DataLoader) and key.startswith("_"):  # its workers
                continue
            if isinstance(value, (*_PLAIN, *_Generators)):
                yield name, thing, key, value
            elif depth < _DEPTH:
                for within, each in _within(key, value):
                    waiting.append((f"{name}.{within}", each, depth + 1))


def _within(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The objects that an attribute holds: itself, or those in a short collection."""
    if isinstance(value, list | tuple) and len(value) <= 64:
        yield from ((f"{key}.{number}", each) for number, each in enumerate(value))
    elif isinstance(value, dict) and len(value) <= 64:
        yield from ((f"{key}.{name}", each) for name, each in value.items())
    elif not isinstance(value, list | tuple | dict | Tensor | np.ndarray) and not hasattr(value, "__code__"):
        yield key, value


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, list | tuple):
        return type(value)(_copied(each) for each in value)
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return value


def _on_device(value: Any, present: Any) -> Any:
    return value.to(present.device) if isinstance(value, Tensor) and isinstance(present, Tensor) else _copied(value)

"""Dotted keys (optimizer.lr) of a resolved configuration: the value of one, others in its place, all that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_RAISE = object()


def at(node: Any, key: str, default: Any = _RAISE) -> Any:
    """The value of a dotted key, through mappings and lists. Raises KeyError where there is none, and no default."""
    for part in key.split("."):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif default is _RAISE:
            raise KeyError(key)
        else:
            return default
    return node


def changed(node: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with other values, by dotted key; parts that stay as they are are shared."""
    copy = dict(node)
    for key, value in values.items():
        name, _, rest = key.partition(".")
        copy[name] = changed(copy[name], {rest: value}) if rest else value
    return copy


def dotted(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of a configuration, those in sections with their section; for suggestions."""
    for name, item in node.items():
        yield f"{prefix}{name}"
        if isinstance(item, Mapping):
            yield from dotted(item, f"{prefix}{name}.")

"""Interpolations of plain configurations: OmegaConf resolves the sections that have some, and no others.

Nodes of OmegaConf take a hundred times as long to make as dictionaries, and few values of a configuration refer to
others. So OmegaConf is handed the sections that refer to something and those that they refer to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf

# The forms that say where their value comes from: ${a.b} from the section a, ${oc.env:NAME,default} from no section.
_KNOWN = re.compile(r"\$\{\s*(?:oc\.env:[^${}]*|(?P<section>\w+)[\w.]*)\s*\}")


class Resolver:
    """The resolved form of configurations that share sections; what the same sections make is made once.

    A section is known by its place in memory, so none may change.
    """

    def __init__(self) -> None:
        self._texts: dict[int, tuple[Any, list[str]]] = {}  # with the sections, or others could come to lie there
        self._resolved: dict[tuple[Any, ...], dict[str, Any]] = {}

    def __call__(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Sections without interpolations are the same objects. Raises exceptions of OmegaConf."""
        texts = {name: found for name, section in config.items() if (found := self._texts_of(section))}
        if not texts:
            return dict(config)
        if (needed := _needed(texts, config)) is None:
            return _by_omegaconf(config)
        part = {name: section for name, section in config.items() if name in needed}
        key = tuple([(name, _place(section)) for name, section in part.items()])
        if key not in self._resolved:
            self._resolved[key] = _by_omegaconf(part)
        made = self._resolved[key]
        return {name: made[name] if name in texts else section for name, section in config.items()}

    def _texts_of(self, section: Any) -> list[str]:
        if not isinstance(section, dict | list):
            return list(_texts(section))
        if id(section) not in self._texts:
            self._texts[id(section)] = section, list(_texts(section))
        return self._texts[id(section)][1]


def _by_omegaconf(config: Mapping[str, Any]) -> dict[str, Any]:
    container = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(name): section for name, section in container.items()}


def _needed(texts: Mapping[str, list[str]], config: Mapping[str, Any]) -> set[str] | None:
    """The sections with interpolations and those that they refer to; None where a text does not say to which."""
    needed = set(texts)
    for text in (text for found in texts.values() for text in found):
        known = list(_KNOWN.finditer(text))
        if len(known) != text.count("${"):
            return None
        needed.update(name for found in known if (name := found["section"]) in config)
    return needed


def _texts(node: Any) -> Iterator[str]:
    """The interpolations within a value, and what marks a value that must be given."""
    if isinstance(node, str):
        if "${" in node or node == "???":
            yield node
    elif isinstance(node, dict):
        for item in node.values():
            yield from _texts(item)
    elif isinstance(node, list):
        for item in node:
            yield from _texts(item)


def _place(section: Any) -> Any:
    return id(section) if isinstance(section, dict | list) else repr(section)  # 1, 1.0 and True are equal

"""Resolved configurations of thousands of command lines: Hydra composes each distinct choice of options once.

Hydra takes about 0.1 s to compose one configuration. The cells of a plan differ mostly in plain values (seeds, learning
rates), and a plain value can be put into a composed configuration afterwards, wherever interpolations carry it; arms
differ in the options of a few groups, see `merger`. Whatever is not certainly one of the two goes through Hydra, so the
result is that of composing each cell the plain way.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paribus.base.errors import UserError
from paribus.config.compose import completed, is_group, load, resolved, user_errors
from paribus.config.composed import Composed
from paribus.config.grammar import number, parsed, with_quotes
from paribus.config.identity import Identities
from paribus.config.merger import Merger
from paribus.config.modes import with_mode
from paribus.config.resolver import Resolver
from paribus.config.run import Runs

Path = tuple[str, ...]
MOST_TEMPLATES = 1000  # kept, of some 0.1 MB each
_REFERENCE = re.compile(r"\$\{\s*([\w.]+)\s*\}")
_WORD = re.compile(r"[\w.]+")
_ENVIRONMENT = re.compile(r"oc\.env:[^${}]*")  # names of variables and defaults, never keys of the configuration


class Composer:
    """Composes command lines, and remembers.

    compose: from a command line to a configuration with Hydra's own node. settings: the configuration of the sweep,
    where one runs: overrides of Hydra's own node are no longer on its command line.
    """

    def __init__(self, compose: Callable[[Sequence[str]], DictConfig] = load, settings: DictConfig | None = None):
        self._compose = compose
        self._axes = {} if settings is None else _axes(settings)
        self._merger = Merger()
        self._resolver = Resolver()
        self._templates: dict[tuple[str, ...], _Template] = {}
        self._identities = Identities()
        self._runs = Runs()

    def run(self, overrides: Sequence[str]) -> tuple[str, Composed]:
        """The id and the configuration of the run that a command line describes; sections in common are checked once.

        Raises UserError as a call does, and for the first value that can't be.
        """
        composed, kin = self._look_up(overrides)
        changed = kin.changed if kin else ()
        self._runs.check(composed.resolved, kin, changed)
        return self._identities(composed.resolved, kin, changed), composed

    def __call__(self, overrides: Sequence[str]) -> Composed:
        """The configuration of a command line.

        Raises UserError with the nearest names where Hydra can't compose it.
        """
        return self._look_up(overrides)[0]

    def _look_up(self, overrides: Sequence[str]) -> tuple[Composed, _Kin | None]:
        if not all(map(str.isascii, overrides)):
            overrides = tuple(map(with_quotes, overrides))
        with user_errors():
            template, values = self._template_of(overrides)
            if (kin := template.kin(tuple(values))) is not None:
                config = template.with_values(kin, tuple(values.values()))
                return Composed(config, template.choices, {**self._axes, **template.axes}, self._runs), kin
            whole = self._compose(list(map(with_mode, overrides)))
            return Composed(resolved(whole), _choices(whole), _axes(whole), self._runs), None

    def _template_of(self, overrides: Sequence[str]) -> tuple[_Template, dict[Path, Any]]:
        """The choice of options that overrides make, and the plain values that are put into it."""
        groups: list[str] = []
        values: dict[Path, tuple[str, Any]] = {}
        for text in overrides:
            path, value = _plain_value(text)
            if path is None:
                groups.append(text)
            else:
                values[path] = text, value
        template = self._template(tuple(groups))
        while bound := template.bound(tuple(values)):
            groups = [text for text in overrides if (path := _plain_value(text)[0]) not in values or path in bound]
            values = {path: given for path, given in values.items() if path not in bound}
            template = self._template(tuple(groups))
        return template, {path: value for path, (_, value) in values.items()}

    def _template(self, groups: tuple[str, ...]) -> _Template:
        if groups not in self._templates:
            if len(self._templates) >= MOST_TEMPLATES:
                del self._templates[next(iter(self._templates))]  # the oldest
            if (merged := self._merger(groups)) is not None:
                written, choices = merged
                found = _or_none(lambda: completed(self._resolver(written), written))
                self._templates[groups] = _Template(written, found, choices, {})
            else:
                whole = self._compose(groups)
                plain = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
                self._templates[groups] = _Template(
                    OmegaConf.to_container(plain), _or_none(lambda: resolved(plain)), _choices(whole), _axes(whole)
                )
        return self._templates[groups]


@dataclass(frozen=True, eq=False)
class _Kin:
    """Cells of one template that give values to the same keys: all of their other sections are the same objects.

    changed: by section, which of the values each of its leaves gets.
    """

    changed: Mapping[str, Mapping[Path, int]]


class _Template:
    """One choice of options, composed; plain values are put into it.

    written: with its interpolations. resolved: without; None where a value that must be given is `missing`.
    """

    def __init__(
        self, written: Any, resolved: dict[str, Any] | None, choices: Mapping[str, Any], axes: Mapping[str, Any]
    ):
        self.choices = choices
        self.axes = axes
        self._leaves: dict[Path, Any] = {}
        _flatten((), written, self._leaves)
        self._resolved = resolved
        self.missing = {path for path, value in self._leaves.items() if value == "???"} if resolved is None else set()
        self._carried: dict[Path, list[Path]] = {}  # value -> where interpolations carry it, unchanged
        self._entangled: set[Path] = set()  # values that others are made of in some other way
        self._known: dict[Path, bool] = {}
        self._kin: dict[tuple[Path, ...], _Kin | None] = {}
        self._bound: dict[tuple[Path, ...], frozenset[Path]] = {}
        self._sections: dict[tuple[Any, ...], Any] = {}
        for path, text in self._leaves.items():
            if not _interpolates(text):
                continue
            source = self._source(path)
            if source is None and "${." in text.replace(" ", ""):
                self._entangled.add(())  # relative to where it stands: could be made of any value
            elif source is None:
                words = _WORD.findall(_ENVIRONMENT.sub("", text))
                self._entangled.update(tuple(word.strip(".").split(".")) for word in words)
            else:
                self._carried.setdefault(source, []).append(path)

    def _source(self, path: Path) -> Path | None:
        """The value that ${a.b} stands for, through chains of them; None for any other form."""
        for _ in range(10):
            if not _interpolates(self._leaves.get(path)):
                return path if path in self._leaves else None
            if not (match := _REFERENCE.fullmatch(self._leaves[path])):
                return None
            path = tuple(match.group(1).split("."))
        return None

    def kin(self, paths: tuple[Path, ...]) -> _Kin | None:
        """Where values at these paths go; None where only Hydra can say what they make."""
        if paths not in self._kin:
            changes: dict[str, dict[Path, int]] = {}
            for number, path in enumerate(paths):
                for section, *rest in self._carried.get(path, ()):
                    changes.setdefault(section, {})[tuple(rest)] = number
            for number, (section, *rest) in enumerate(paths):
                changes.setdefault(section, {})[tuple(rest)] = number
            known = self._resolved is not None and all(map(self._free, paths))
            self._kin[paths] = _Kin(changes) if known else None
        return self._kin[paths]

    def bound(self, paths: tuple[Path, ...]) -> frozenset[Path]:
        """Those of the values that must be part of a template before the others can be put into it: values that must be
        given, or that only Hydra can put in. Empty where all are, or where one lies within another, as their order
        counts then."""
        if paths not in self._bound:
            found = [path for path in paths if path in self.missing] or [path for path in paths if not self._free(path)]
            some = len(found) < len(paths) or bool(self.missing)
            apart = not any(one[: len(other)] == other[: len(one)] for one, other in combinations(paths, 2))
            self._bound[paths] = frozenset(found if some and apart else ())
        return self._bound[paths]

    def with_values(self, kin: _Kin, values: tuple[Any, ...]) -> dict[str, Any]:
        """The resolved configuration with these values."""
        assert self._resolved is not None
        config = dict(self._resolved)
        for section, places in kin.changed.items():
            config[section] = self._changed(section, {rest: values[number] for rest, number in places.items()})
        return config

    def _free(self, path: Path) -> bool:
        """Whether a value of it goes where interpolations carry it, and nowhere else."""
        if path not in self._known:
            leaf = path in self._leaves and not isinstance(self._leaves[path], list | dict)
            self._known[path] = leaf and not any(path[: len(other)] == other[: len(path)] for other in self._entangled)
        return self._known[path]

    def _changed(self, section: str, changes: Mapping[Path, Any]) -> Any:
        """A section with some leaves replaced, the same object for the same changes; unchanged parts are shared."""
        if () in changes:
            return changes[()]
        key = (section, *((path, repr(value)) for path, value in changes.items()))  # 1, 1.0 and True are equal
        if key not in self._sections:
            assert self._resolved is not None
            self._sections[key] = _changed(self._resolved[section], changes)
        return self._sections[key]


def _or_none(resolve: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """None where a value that must be given is missing: each cell gives its own."""
    try:
        return resolve()
    except OmegaConfBaseException:
        return None


def _choices(config: DictConfig) -> Mapping[str, Any]:
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    assert isinstance(choices, dict)
    return {str(group): option for group, option in choices.items()}


def _axes(config: DictConfig) -> Mapping[str, Any]:
    """hydra.sweeper.params of our own sweeper; those of a search are no lists of values."""
    sweeper = config.hydra.sweeper
    if not str(sweeper.get("_target_")).endswith(".ParibusSweeper") or not sweeper.get("params"):
        return {}
    if not isinstance(sweeper.params, DictConfig):
        raise UserError(
            f"hydra.sweeper.params maps keys to their values, as in {{seed: '0,1'}}, got {sweeper.params!r}"
        )
    axes = OmegaConf.to_container(sweeper.params, resolve=True)
    assert isinstance(axes, dict)
    return {str(key): value for key, value in axes.items()}


@functools.lru_cache(maxsize=100_000)
def _plain_value(text: str) -> tuple[Path | None, Any]:
    """(path, value) of an override that sets one plain value, (None, None) of any other."""
    value: Any
    if (found := number(text)) is not None:
        key, value = found
    else:
        override = parsed(text)
        key = override.key_or_group
        if override.type is not OverrideType.CHANGE or override.is_sweep_override() or "/" in key or "@" in text:
            return None, None
        value = override.value()
    if key.startswith("hydra.") or is_group(key) or not isinstance(value, bool | int | float | str | None):
        return None, None
    return (None, None) if _interpolates(value) or value == "???" else (tuple(key.split(".")), value)


def _interpolates(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _flatten(prefix: Path, node: Any, leaves: dict[Path, Any]) -> None:
    if isinstance(node, dict) and node:
        for key, item in node.items():
            _flatten((*prefix, str(key)), item, leaves)
    elif isinstance(node, list):
        leaves[prefix] = node
        for index, item in enumerate(node):
            _flatten((*prefix, str(index)), item, leaves)
    else:
        leaves[prefix] = node


def _changed(node: Any, changes: Mapping[Path, Any]) -> Any:
    """A copy of nested dicts and lists with some leaves replaced; unchanged parts are shared."""
    if isinstance(node, list):
        numbered = {str(index): item for index, item in enumerate(node)}
        return list(_changed(numbered, changes).values())
    copy = dict(node)
    below: dict[str, dict[Path, Any]] = {}
    for (key, *rest), value in changes.items():
        if rest:
            below.setdefault(key, {})[tuple(rest)] = value
        else:
            copy[key] = value
    return copy | {key: _changed(copy[key], inner) for key, inner in below.items()}

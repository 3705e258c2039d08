"""Hydra's composition in its two steps, both remembered: options choose a list of files, and the files are merged.

Hydra takes most of its time to find out which files a command line means. Where two command lines differ in several
options, the list is made of those that differ in one: a segment of it belongs to each option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import OverrideType
from omegaconf import OmegaConf

from paribus.base.hydra_internals import ConfigFiles, Unsupported
from paribus.config.compose import hydra_context, is_group
from paribus.config.grammar import parsed

Files = list[Any]  # Hydra's own entries, one for each file


class Merger:
    """Composes choices of options, but for Hydra's own node. It keeps what it read of the config tree."""

    def __init__(self) -> None:
        self._lists: dict[tuple[str, ...], tuple[Files, Mapping[str, Any]]] = {}
        self._first: dict[tuple[str | None, ...], tuple[str, ...]] = {}  # groups -> the first choice of their options
        self._meeting: set[tuple[Any, ...]] = set()  # (groups, places of those) whose segments overlap
        self._contents: dict[tuple[Any, ...], Any] = {}
        self._sections: dict[tuple[Any, ...], Any] = {}  # (name, places of the contents that set it) -> what they make
        self._files: ConfigFiles | None = None

    def __call__(self, options: tuple[str, ...]) -> tuple[dict[str, Any], Mapping[str, Any]] | None:
        """(configuration, chosen options) of `group=option, ...`; None for a command line that only Hydra understands.

        The configuration is as it is written, with its interpolations. Sections that the same files make are one
        object.

        Raises Hydra's own exceptions for options that do not exist.
        """
        keys = tuple(map(_group_of, options))
        if None in keys or len(set(keys)) < len(keys):
            return None
        with hydra_context():
            try:
                return self._compose(keys, options)
            except Unsupported:
                return None

    def _compose(
        self, keys: tuple[str | None, ...], options: tuple[str, ...]
    ) -> tuple[dict[str, Any], Mapping[str, Any]] | None:
        first = self._first.setdefault(keys, options)
        changed = [place for place, option in enumerate(options) if option != first[place]]
        files, choices = self._list(first)
        if len(changed) == 1 or (keys, *changed) in self._meeting:
            files, choices = self._list(options)
        elif changed:
            singles = [self._list((*first[:place], options[place], *first[place + 1 :])) for place in changed]
            if (spliced := splice(files, [single for single, _ in singles])) is None:
                self._meeting.add((keys, *changed))
                files, choices = self._list(options)
            else:
                base, files, choices = choices, spliced, dict(choices)
                for _, other in singles:
                    choices.update((key, value) for key, value in other.items() if value != base.get(key))
        contents = [content for file in files if (content := self._content(file)) is not None]
        return None if len(contents) < len(files) else (self._merged(contents), choices)

    def _merged(self, contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        makers: dict[str, list[Mapping[str, Any]]] = {}
        for content in contents:
            for name in content:
                makers.setdefault(name, []).append(content)
        merged = {}
        for name, of in makers.items():
            key = (name, *map(id, of))
            if key not in self._sections:
                made: dict[str, Any] = {}
                for content in of:
                    merge(made, {name: content[name]})
                self._sections[key] = made[name]
            merged[name] = self._sections[key]
        return merged

    def _list(self, options: tuple[str, ...]) -> tuple[Files, Mapping[str, Any]]:
        """Hydra's list of files and of chosen options."""
        if options not in self._lists:
            files, choices = self._tree().chosen(list(map(parsed, options)))
            self._lists[options] = [file for file in files if not _is_hydras(file)], choices
        return self._lists[options]

    def _content(self, file: Any) -> dict[str, Any] | None:
        """What a file sets, in its package; None where it is more than plain values."""
        key = (file.config_path, file.package, file.is_self)
        if key not in self._contents:
            content = OmegaConf.to_container(self._tree().content(file), resolve=False)
            assert isinstance(content, dict)
            content.pop("defaults", None)
            hydra = content.pop("hydra", None) or {}
            more = "${hydra:" in str(content) or (hydra.get("sweeper") or {}).get("params")
            self._contents[key] = None if more else content
        result: dict[str, Any] | None = self._contents[key]
        return result

    def _tree(self) -> ConfigFiles:
        if self._files is None:
            self._files = ConfigFiles("train")
        return self._files


def splice(files: Files, variants: Sequence[Files]) -> Files | None:
    """`files` with the changes of every variant, each of which replaces one segment; None where segments overlap."""
    changes = []
    for other in variants:
        start = 0
        while start < min(len(files), len(other)) and files[start] == other[start]:
            start += 1
        end = 0
        while end < min(len(files), len(other)) - start and files[-1 - end] == other[-1 - end]:
            end += 1
        changes.append((start, len(files) - end, other[start : len(other) - end]))
    changes.sort(key=lambda change: change[:2])
    spliced: Files = []
    at = 0
    for start, stop, segment in changes:
        if start < at or (start == at and spliced and start == stop):
            return None
        spliced += [*files[at:start], *segment]
        at = stop
    return spliced + files[at:]


def merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """OmegaConf's merge of plain values: mappings are merged, everything else is replaced, ??? replaces nothing."""
    for key, value in other.items():
        if isinstance(value, Mapping):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            merge(into[key], value)
        elif value != "???" or key not in into:
            into[key] = value


def _group_of(text: str) -> str | None:
    """The config group that an override `group=option` or `group=[a,b]` chooses of; None for any other override.

    `group={key: value}` chooses nothing: it sets values in the section of that name.
    """
    override = parsed(text)
    simple = override.type is OverrideType.CHANGE and not override.is_sweep_override() and override.package is None
    key, value = override.key_or_group, override.value() if simple else None
    named = all(isinstance(name, str) for name in (value if isinstance(value, list) else [value]))
    return key if simple and named and key.split("/")[0] != "hydra" and is_group(key) else None


def _is_hydras(file: Any) -> bool:
    return (file.package or "").split(".")[0] == "hydra" or (file.config_path or "").startswith("hydra/")

"""Interpolations of a project's configuration, made those of a configuration of Paribus.

A reference to a section that is kept follows it to its new place: `${model.net.width}` becomes
`${task.module.net.width}`. Every other value that is referred to is kept below `vars`, so what shared a value still
does. Paths of the project become relative to its root, where Paribus is called.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml

from paribus.base.plain_yaml import LOADER
from paribus.projects.arithmetic import Unknown, applied
from paribus.projects.composition import Tree, at

Path = tuple[str, ...]
MISSING = "???"
SHARED = "logs/paribus"  # where a folder of its own for each job was asked for
_KEY = re.compile(r"(\.*)([\w@/-]+(?:\.[\w@/-]+|\[[^\]]+\])*)")
_INLINE = ("paths", "hydra", "callbacks", "logger", "trainer")  # sections of which Paribus has its own
_DEEPEST = 20


class References:
    """Translates the values of one composed configuration.

    places: section of the project -> where its values are in a configuration of Paribus.
    resolvers: those that the project registers. note: is told what could not be translated.
    """

    def __init__(
        self,
        tree: Tree,
        places: Mapping[Path, str],
        resolvers: Mapping[str, ast.expr | None],
        note: Callable[[str], None],
    ):
        self._tree = tree
        self._places = places
        self._resolvers = resolvers
        self._note = note
        self.variables: Tree = {}

    def place(self, section: str) -> str:
        """Where a section of the project is in a configuration of Paribus."""
        return self._places[tuple(section.split("."))]

    def value(self, value: Any, where: Path, depth: int = 0) -> Any:
        """A value that stands at `where` in the project, for a configuration of Paribus."""
        if isinstance(value, Mapping):
            return {key: self.value(each, (*where, str(key)), depth) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, (*where, str(number)), depth) for number, each in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        pieces = [self._span(text, where, depth) if inner else text for text, inner in spans(value)]
        if len(pieces) == 1:
            return pieces[0]
        if MISSING in pieces:
            return MISSING
        return "".join("null" if each is None else str(each) for each in pieces)

    def _span(self, inner: str, where: Path, depth: int) -> Any:
        """What `${inner}` becomes."""
        if depth > _DEEPEST:
            self._note(f"{'.'.join(where)}: its interpolations refer to each other in a circle. Write its value")
            return MISSING
        name, colon, arguments = inner.partition(":")
        if colon and "$" not in name:
            return self._resolver(name.strip(), arguments, inner, where, depth)
        if "${" in inner:
            inner = str(self.value(inner, where, depth + 1))
        match = _KEY.fullmatch(inner.strip())
        if not match:
            self._note(f"{'.'.join(where)}: ${{{inner}}} is not understood. Write its value")
            return MISSING
        dots, key = len(match[1]), match[2]
        path = tuple(part for part in re.split(r"[.\[\]'\"]+", key) if part)
        if dots:
            path = (*where[: len(where) - dots], *path)
            if any(where[: len(section)] == section == path[: len(section)] for section in self._places):
                return f"${{{inner}}}"  # within a section that moves as a whole
        return self._reference(path, where, depth)

    def _reference(self, path: Path, where: Path, depth: int) -> Any:
        for section, place in self._places.items():
            if path[: len(section)] == section:
                return "${" + ".".join((place, *path[len(section) :])) + "}"
        try:
            found = at(self._tree, path)
        except KeyError:
            self._note(f"{'.'.join(where)} refers to {'.'.join(path)}, which is not there. Write its value")
            return MISSING
        if path[0] in _INLINE:
            return self.value(found, path, depth + 1)
        self._keep(path, self.value(found, path, depth + 1))
        return "${" + ".".join(("vars", *path)) + "}"

    def _keep(self, path: Path, value: Any) -> None:
        node = self.variables
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value

    def _resolver(self, name: str, arguments: str, inner: str, where: Path, depth: int) -> Any:
        place = ".".join(where)
        if name == "oc.env":
            return self._environment(arguments, where, depth)
        if name == "hydra":
            return self._hydra(arguments, where)
        if name == "oc.select":
            key, _, default = arguments.partition(",")
            try:
                at(self._tree, tuple(key.strip().split(".")))
            except KeyError:
                return self.value(_read(default), where, depth + 1)
            return self._reference(tuple(key.strip().split(".")), where, depth)
        if name == "now":
            self._note(
                f"{place}: ${{{inner}}} differs with every call, so no run would be the same. Write a fixed value"
            )
            return MISSING
        try:
            value = applied(self._resolvers.get(name), [self._plain(each, where, depth) for each in _split(arguments)])
        except Unknown:
            who = f"the resolver {name}, which the project registers" if name in self._resolvers else f"{name}:"
            self._note(f"{place}: ${{{inner}}} is computed by {who}. Paribus does not run that code. Write its value")
            return MISSING
        self._note(f"{place}: ${{{inner}}} is written as its value, {value!r}. It no longer follows what it is made of")
        return list(value) if isinstance(value, tuple) else value

    def _plain(self, text: str, where: Path, depth: int) -> Any:
        """The value of an argument of a resolver, whose references are looked up now. Raises Unknown."""
        for _ in range(_DEEPEST):
            if "${" not in text:
                return _read(text)
            parts = []
            for piece, inner in spans(text):
                if not inner:
                    parts.append(piece)
                    continue
                match = _KEY.fullmatch(piece.strip())
                if not match:
                    found = self._span(piece, where, depth + 1)
                else:
                    key = tuple(match[2].split("."))
                    try:
                        found = at(self._tree, (*where[: len(where) - len(match[1])], *key) if match[1] else key)
                    except KeyError as error:
                        raise Unknown(text) from error
                if found == MISSING:
                    raise Unknown(text)
                if len(list(spans(text))) == 1 and not isinstance(found, str):
                    return found
                parts.append(str(found))
            text = "".join(parts)
        raise Unknown(text)

    def _environment(self, arguments: str, where: Path, depth: int) -> Any:
        name, comma, default = arguments.partition(",")
        name = name.strip()
        if name == "PROJECT_ROOT":
            return "."
        if comma:
            default = str(self.value(default, where, depth + 1))
        elif name not in os.environ:
            self._note(
                f"{'.'.join(where)} needs the environment variable {name}. Paribus reads no .env file. Before "
                f"`paribus`, type: export {name}=VALUE"
            )
        return f"${{oc.env:{name}{comma}{default}}}"

    def _hydra(self, arguments: str, where: Path) -> Any:
        key = arguments.strip()
        if key in ("runtime.cwd", "runtime.work_dir"):
            return "."
        place = ".".join(where)
        if key.endswith(("output_dir", "run.dir", "sweep.dir")):
            self._note(
                f"{place}: the project gives each job a folder of its own, and no configuration can name the folder "
                f"of a run of Paribus. All runs share {SHARED} there"
            )
            return SHARED
        self._note(f"{place}: ${{hydra:{key}}} is known to Hydra's own jobs only. Write its value")
        return MISSING


def spans(text: str) -> Sequence[tuple[str, bool]]:
    """The parts of a text: (literal text, False), and (what stands in ${...}, True)."""
    found: list[tuple[str, bool]] = []
    start = 0
    while (begin := text.find("${", start)) >= 0:
        depth, end = 0, begin
        while end < len(text):
            if text.startswith("${", end):
                depth, end = depth + 1, end + 1
            elif text[end] == "}":
                depth -= 1
            end += 1
            if depth == 0 and end > begin + 1:
                break
        if begin > start:
            found.append((text[start:begin], False))
        found.append((text[begin + 2 : end - 1], True))
        start = end
    if start < len(text):
        found.append((text[start:], False))
    return found


def _split(arguments: str) -> list[str]:
    """The arguments of a resolver: separated by commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _read(text: str) -> Any:
    """A value as YAML has it; quotes that OmegaConf needs around an expression are taken off."""
    try:
        value = yaml.load(text.strip(), LOADER) if text.strip() else ""
    except yaml.YAMLError:
        return text.strip()
    with suppress(ValueError):  # 1e-3 is a number to OmegaConf, and none to YAML 1.1
        return float(value) if isinstance(value, str) else value
    return value

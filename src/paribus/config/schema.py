"""The types of configuration keys, and the parser of the dataclasses that are annotated with them.

A section of the configuration is a frozen dataclass. The annotation of a field says what its key may hold: bool, int,
float (finite), str, a Literal, None, a union or a tuple of these, one of the named types below, or another section. A
section some of whose keys are free has a static method `read(given, where)`.
"""

from __future__ import annotations

import functools
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeGuard, TypeVar

from paribus.base.errors import UserError
from paribus.base.typed import typed
from paribus.config.arguments import check_node
from paribus.config.unknown import unknown

T = TypeVar("T")
MOST = 2**63 - 1  # of whole numbers: that of torch
NO_KEY = {"key": False}  # metadata of a field that no configuration gives
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # and halves of characters, which no file can hold


@dataclass(frozen=True)
class Range:
    """Bounds of a number: least <= x <= most, above < x < below."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, given: float) -> bool:
        return (
            (self.least is None or given >= self.least)
            and (self.most is None or given <= self.most)
            and (self.above is None or given > self.above)
            and (self.below is None or given < self.below)
        )

    def __str__(self) -> str:
        parts = {"of at least": self.least, "of at most": self.most, "above": self.above, "below": self.below}
        return " and ".join(f"{words} {bound:.12g}" for words, bound in parts.items() if bound is not None)


@dataclass(frozen=True)
class Form:
    """Of a mapping whose keys are free: it holds values, is the node of a class itself, or holds nodes by name."""

    holds: typing.Literal["values", "node", "nodes"]
    words: str


Whole = Annotated[int, Range(least=0)]  # and at most 2^63 - 1, as all whole numbers
Count = Annotated[int, Range(least=1)]
Positive = Annotated[float, Range(above=0)]
Share = Annotated[float, Range(above=0, below=1)]
Fraction = Annotated[float, Range(least=0, most=1)]
Node = Annotated[Mapping[str, Any], Form("node", "an option of its group, or _target_ and its arguments")]
Nodes = Annotated[Mapping[str, Any], Form("nodes", "options of its group, or NAME._target_ and its arguments")]
Free = Annotated[Mapping[str, Any], Form("values", "values by name")]


@dataclass(frozen=True)
class Kind:
    """One of the alternatives of an annotation. type: what Python calls it. of: choices, or the kinds of an entry."""

    type: Any
    of: tuple[Any, ...] = ()
    note: Any = None

    def fits(self, given: Any) -> bool:
        whole = isinstance(given, int) and not isinstance(given, bool)
        if self.type is int:
            return whole and abs(given) <= MOST and (self.note is None or self.note.holds(given))
        if self.type is float:
            number = (whole or isinstance(given, float)) and abs(given) <= sys.float_info.max
            return number and (self.note is None or self.note.holds(given))
        if self.type is str:
            return isinstance(given, str) and bool(given.strip()) and not _CONTROL.search(given)
        if self.type is typing.Literal:
            return any(given == choice and type(given) is type(choice) for choice in self.of)
        if self.type is tuple:
            return isinstance(given, list | tuple) and all(any(kind.fits(each) for kind in self.of) for each in given)
        return isinstance(given, self.type)

    def __str__(self) -> str:
        if self.type is typing.Literal:
            return ", ".join(dict.fromkeys("off" if choice is False else str(choice) for choice in self.of))
        if self.type is tuple:
            return f"a list, each entry {' or '.join(map(str, self.of))}"
        if isinstance(self.note, Form):
            return self.note.words
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", type(None): "null"}
        return f"{words[self.type]} {self.note}" if self.note else words[self.type]

    def example(self) -> str:
        """A value as one types it."""
        if self.type is typing.Literal:
            return str(self.of[0])
        if self.type is tuple:
            return f"[{self.of[0].example()}]"
        if isinstance(self.note, Form):
            return "OPTION" if self.note.holds != "values" else "{}"
        if self.type in (int, float):
            return next(f"{x:g}" for x in (1, 0, 0.5, getattr(self.note, "least", 0)) if self.fits(self.type(x)))
        return {bool: "true", str: "name", type(None): "null"}[self.type]


@functools.cache
def kinds(hint: Any) -> tuple[Kind, ...]:
    """The alternatives of an annotation."""
    origin, given = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(kind for option in given for kind in kinds(option))
    if origin is Annotated:
        [kind] = kinds(given[0])
        return (Kind(kind.type, kind.of, given[1]),)
    if origin is typing.Literal:
        return (Kind(typing.Literal, given),)
    if origin is tuple:
        return (Kind(tuple, kinds(given[0])),)
    return (Kind(origin or hint),)


@functools.cache
def keys(section: type) -> Mapping[str, Any]:
    """The keys of a section and their annotations."""
    hints = typing.get_type_hints(section, include_extras=True)
    return {field.name: hints[field.name] for field in fields(section) if field.metadata != NO_KEY}


@functools.cache
def optional(section: type) -> Mapping[str, Any]:
    """The keys that a configuration may lack, with what they then are: they are younger than some records."""
    made = {f.name: f.default_factory() for f in fields(section) if f.default_factory is not MISSING}
    return made | {f.name: f.default for f in fields(section) if f.default is not MISSING}


def is_section(hint: Any) -> TypeGuard[type]:
    """Whether an annotation is that of a section, all of whose keys are known."""
    return isinstance(hint, type) and is_dataclass(hint) and not hasattr(hint, "read")


def leaves(section: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, annotation) of every key below a section that is no section itself."""
    for name, hint in keys(section).items():
        if is_section(hint):
            yield from leaves(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", hint


def parse(section: type[T], given: Any, where: str = "") -> T:
    """The section that a mapping describes. where: its dotted key.

    Raises UserError for a key that is unknown, missing, or holds what it can't.
    """
    names = keys(section)  # type: ignore[arg-type]  # mypy holds type[T] for unhashable
    if not isinstance(given, Mapping):
        first = next(typed(f"{where}.{key}", kinds(hint)[0].example()) for key, hint in leaves(section))
        raise UserError(
            f"{where} is a section with the keys ({', '.join(names)}), and can't be {shortened(given)} itself. "
            f"Try {getattr(section, 'EXAMPLE', first)}"
        )
    prefix = f"{where}." if where else ""
    for name in given:
        if name not in names:
            raise UserError(unknown(f"{prefix}{name}", [f"{prefix}{key}" for key in names]))
    return section(
        **{
            name: value(hint, given[name], f"{prefix}{name}") if name in given else absent(section, name, prefix)
            for name, hint in names.items()
        }
    )


def absent(section: type, name: str, prefix: str = "") -> Any:
    """What a key is that a configuration does not have. Raises UserError where it must have it."""
    if name in optional(section):
        return optional(section)[name]
    raise missing(f"{prefix}{name}")


def missing(key: str) -> UserError:
    return UserError(f"{key} is missing and has no default. Give {key}, or leave out ~{key}")


def value(hint: Any, given: Any, where: str) -> Any:
    """The value of one key. Raises UserError that names key, invariant, value and remedy."""
    if is_section(hint):
        return parse(hint, given, where)
    if hasattr(hint, "read"):
        return hint.read(given, where)
    found = next((kind for kind in kinds(hint) if kind.fits(given)), None)
    if found is None:
        raise UserError(
            f"{where} must be {described(hint)}, got {shortened(given)}. Try {typed(where, kinds(hint)[0].example())}"
        )
    if isinstance(found.note, Form) and found.note.holds == "node":
        check_node(where, given)
    elif isinstance(found.note, Form) and found.note.holds == "nodes":
        for name, node in given.items():
            if node is not None:  # NAME=null takes one away
                check_node(f"{where}.{name}", node)
    return tuple(given) if found.type is tuple else given


def described(hint: Any) -> str:
    """What an annotation asks for, in words."""
    words = [str(kind) for kind in kinds(hint) if kind.type is not typing.Literal]
    choices = [kind for kind in kinds(hint) if kind.type is typing.Literal]
    return " or ".join([*words, *(f"one of {each}" if "," in str(each) else str(each) for each in choices)])


def shortened(given: Any) -> str:
    """The value as Python writes it, to be shown in a message."""
    try:
        text = repr(given)
    except ValueError:  # a whole number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) < 160 else f"{text[:160]} ..."

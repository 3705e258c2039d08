"""Hydra's override grammar, read and written: values come back as what they were, whatever letters they hold."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paribus.base.typed import escaped

if TYPE_CHECKING:  # tables import this module, and are there sooner than Hydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override

_PLAIN = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)  # a word that needs no quotes, unless it is one of those:
_NUMBER = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=((?:0|[1-9]\d*)(\.\d+)?)", re.ASCII)
_OTHER = ("true", "false", "null", "inf", "nan")
# In a value: what is quoted already, or a run of letters with one that Hydra's grammar has no place for.
_FOREIGN = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\$\{[^}]*\}|([^,=\[\]{}():'"\s]*[^\x00-\x7f][^,=\[\]{}():'"]*)""",
    re.DOTALL,
)


@functools.lru_cache(maxsize=100_000)
def parsed(text: str) -> Override:
    """Hydra's own parse of one override. Raises its OverrideParseException."""
    return _parser().parse_overrides([with_quotes(text)])[0]


def number(text: str) -> tuple[str, int | float] | None:
    """(key, value) of an override KEY=0.01; None of any other. It reads plain digits as Hydra does, fifty times as
    fast: a large ablation has hundreds of levels."""
    if (found := _NUMBER.fullmatch(text)) is None:
        return None
    return found[1], float(found[2]) if found[3] else int(found[2])


@functools.cache
def _parser() -> OverridesParser:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()  # it inspects every function of the grammar, which takes as long as to parse


def key_and_value(override: str) -> tuple[str, str]:
    """What an override sets and to what, as a person would say it: without +, and without quotes and backslashes."""
    key, _, value = override.partition("=")
    if (value[:1] in ("'", '"') or "\\" in value) and isinstance(text := parsed(override).value(), str):
        value = text
    return key.lstrip("+"), value


def override_value(value: Any) -> str:
    """A value as one writes it on the command line. Interpolations in it stay interpolations."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{escaped(str(key))}:{override_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(override_value(item) for item in value) + "]"
    return _word(value) if isinstance(value, str) else str(value)


def literal(text: str) -> str:
    """A name or a path on the command line, of which nothing is resolved: `read_literal` gives it back."""
    # OmegaConf takes \${ for the letters ${, and a backslash before that for two.
    return _quoted(re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text))


def read_literal(override: str) -> str:
    """The text behind `KEY=literal(text)`."""
    from omegaconf import OmegaConf

    value = OmegaConf.to_container(OmegaConf.create({"value": parsed(override).value()}), resolve=True)["value"]  # type: ignore[index,call-overload]
    return str(value)


def with_quotes(override: str) -> str:
    """The override with quotes around words that hold letters beyond ASCII, which Hydra's grammar asks for.

    data.source.root=/home/zoé/faces  becomes  data.source.root='/home/zoé/faces'
    """
    key, equals, value = override.partition("=")
    if value.isascii():
        return override
    return f"{key}{equals}{_FOREIGN.sub(lambda match: _quoted_words(match[1]) if match[1] else match[0], value)}"


def _quoted_words(text: str) -> str:
    stripped = text.rstrip()
    return _quoted(stripped) + text[len(stripped) :]


@functools.lru_cache(maxsize=10_000)
def _word(text: str) -> str:
    """Quoted where it holds syntax, or would be read as something else than a word."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _OTHER else _quoted(text)


def _quoted(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()

"""Redaction of secrets in whatever leaves a run: records, configurations, W&B, pages, tables.

The training itself gets the values as they are, and so does the hash that is the id of the run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"
_NAME = re.compile(
    r"(?:^|[^a-z])(?:api_?key|access_?key|private_?key|secret|token|passw(?:or)?d|passphrase|credentials?|auth(?:orization)?)"
    r"$",
    re.I,
)
# user:password@ of an address; keys that say by their first letters what they are; key=value in a text.
_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@", re.I)
_KEY = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|hf_\w{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|"
    r"glpat-[\w-]{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
)
_PAIR = re.compile(r"(?P<key>[\w.+-]*[\w])(?P<equals>=)(?P<value>'[^']*'|\"[^\"]*\"|[^\s&,]+)")


def redacted(value: Any) -> Any:
    """The value without what looks like a secret: by the name that it has, by its form, or because it is the value of
    an environment variable whose name says so. Nested values too; interpolations stay as they are."""
    return _redacted(value, "", _secrets())


def redacted_text(text: str) -> str:
    """The same of a text, such as a command line."""
    return _text(text, _secrets())


def _secrets() -> list[tuple[str, str]]:
    """The environment variables whose names say that their values are secrets."""
    return [(name, value) for name, value in os.environ.items() if len(value) >= 8 and _NAME.search(name)]


def _redacted(value: Any, name: str, secrets: Sequence[tuple[str, str]]) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(item, str(key), secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, name, secrets) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if _NAME.search(name) and not value.startswith("${"):
        return MASK
    return _text(value, secrets)


def _text(text: str, secrets: Sequence[tuple[str, str]]) -> str:
    for variable, secret in secrets:
        text = text.replace(secret, f"${{oc.env:{variable}}}")
    if "://" in text:
        text = _USER.sub(lambda found: f"{found['scheme']}{MASK}@", text)
    if "=" in text:
        text = _PAIR.sub(_pair, text)
    return _KEY.sub(MASK, text)


def _pair(found: re.Match[str]) -> str:
    if not _NAME.search(found["key"].rpartition(".")[2]) or found["value"].lstrip("'\"").startswith("${"):
        return found[0]
    return f"{found['key']}={MASK}"

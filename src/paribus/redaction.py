"""Redaction of secrets in whatever leaves a run: records, configurations, W&B, pages, tables.

The training itself gets the values as they are, and so does the hash that is the id of the run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
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


def redacted(value: Any, name: str = "") -> Any:
    """The value without what looks like a secret: by the name that it has, by its form, or because it is the value of
    an environment variable whose name says so. Nested values too; interpolations stay as they are."""
    if isinstance(value, Mapping):
        return {key: redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, name) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if _NAME.search(name) and not value.startswith("${"):
        return MASK
    return redacted_text(value)


def redacted_text(text: str) -> str:
    """The same of a text, such as a command line."""
    for variable, secret in os.environ.items():
        if len(secret) >= 8 and secret in text and _NAME.search(variable):
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

"""Overrides as messages suggest them, so that Hydra reads what the reader types.

Names of metrics, of callbacks and of whatever else a user names may hold signs that Hydra's grammar has no place for in
a key: val/acc does, and `+ablation.targets.val/acc=0.97` is no override. The key of a mapping may hold nearly all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_PART = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)  # what may stand between the dots of a key
_KEY = re.compile(r"[\w/\\+.$%*@?|, ()\[\]{}:=-]+", re.ASCII)  # what the key of a mapping may hold; some of it escaped
_ESCAPED = re.compile(r"[\\,()\[\]{}:= ]")
_NO_WORD = re.compile(r"true|false|null|[+-]?(?:inf|nan|[\d_.]+(?:e[+-]?[\d_]+)?)", re.IGNORECASE)
_YAML = re.compile(r"y|n|yes|no|on|off|true|false|null", re.IGNORECASE)  # words that are no text
_SHELL = re.compile(r"[^\w@%+=:,./~-]", re.ASCII)


def typed(key: str | Sequence[str], value: str, sign: str = "") -> str:
    """KEY=VALUE, or '+ablation.targets={val/acc: 0.97}' where a part of the key can't stand between dots: it is then
    the key of a mapping, which Hydra merges into what there is. Quotes keep a shell from signs that it would take.

    key: dotted, or its parts where a name may hold dots. value: as one types it, VALUE for any. sign: + for a key that
    is not there yet, ++ for one that may be there. A name that no override can hold belongs into a YAML file, and the
    text says so.
    """
    parts = key.split(".") if isinstance(key, str) else list(key)
    plain = next((k for k, part in enumerate(parts) if not _PART.fullmatch(part)), len(parts))
    if plain == len(parts):
        return _for_shell(f"{sign}{'.'.join(parts)}={value}")
    if not plain or not all(map(_writable, parts[plain:])):
        for part in reversed(parts):
            value = f"{{{_in_yaml(part)}: {value}}}"
        return f"{value[1:-1]} in a YAML file"
    for part in reversed(parts[plain:]):
        value = f"{{{escaped(part)}: {value}}}"
    return _for_shell(f"+{'.'.join(parts[:plain])}={value}")


def escaped(key: str) -> str:
    """A key of a mapping, with backslashes before what would end it."""
    return _ESCAPED.sub(lambda sign: f"\\{sign[0]}", key)


def _writable(part: str) -> bool:
    return _KEY.fullmatch(part) is not None and not _NO_WORD.fullmatch(part)


def _in_yaml(part: str) -> str:
    return part if _PART.fullmatch(part) and not _YAML.fullmatch(part) else json.dumps(part, ensure_ascii=False)


def _for_shell(text: str) -> str:
    if not _SHELL.search(text):
        return text
    return f"'{text}'" if "'" not in text else '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'

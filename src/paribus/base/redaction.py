"""Redaction of secrets in whatever leaves a run: records, names, configurations, W&B, messages, pages, tables.

The training itself gets the values as they are, and so does the hash that is the id of the run.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MASK = "***"
_NAME = re.compile(
    r"(?:^|[^a-z])"
    r"(?:(?:api|access|private|secret|encryption|signing|ssh|license|wandb|auth|account|master|client)[_-]?keys?|secrets?|"
    r"token|passw(?:or)?ds?|passwd|passcode|passphrase|pwd|pw|credentials?|auth|authorization|bearer|cookies?|jwt|signature|sig)"
    r"_?[0-9]*$",
    re.I,
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # of apiKey
_TOKEN = re.compile(r"token_?[0-9]*$", re.I)  # its number is one of a vocabulary: pad_token=0
# user:password@ of an address, and its user alone, which may be a token. The last @ before the next slash ends it; a
# number behind the host is a port. Bounds keep long texts of strangers from taking long.
_USER = re.compile(
    r"(?P<scheme>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}\\?://)"
    r"[^/\s:@]{0,200}:(?![0-9]+(?:[/?#,\s]|$))(?:(?!://)\S){0,500}?@(?![^/\s]{0,200}@)",
    re.I,
)
_WEB = re.compile(r"(?P<scheme>https?\\?://)[^/\s:@]{1,200}@", re.I)
_VARIABLE = re.compile(r"(?:[^/\s:@${}]{1,200}:)?\$\{oc\.env:\w+\}@")
# Keys that say by their first letters what they are, and what a header of HTTP carries.
_KEY = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|hf_\w{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|"
    r"glpat-[\w-]{20,}|(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
)
_HEADER = re.compile(r"(?P<kind>\b(?:Bearer|Authorization\W{1,4}Basic)(?:\s|%20|\\ ){1,3})[\w.~+/-]{8,}=*", re.I)
_PAIR = re.compile(r"(?<![\w.+-])(?P<key>[\w.+-]*\w)(?P<equals>\\?['\"]?\s{0,3}[=:]\s{0,3})")
_VALUE = re.compile(
    r"\$\{[^}]*\}|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|(?:\\.|[^\s&,'\"{}\[\]\\])(?:\\.|[^\s&,{}\]\\])*", re.S
)
_CERTAIN = re.compile(r"key|passw|passphrase|pwd", re.I)  # where a colon follows; "token: not found" is a sentence


def redacted(value: Any) -> Any:
    """The value without what looks like a secret: by the name that it has, by its form, or because it is the value of
    an environment variable whose name says so. Nested values too; interpolations stay as they are."""
    return _redacted(value, "", variables())


def redacted_text(text: str, speaks_of: Mapping[str, Any] | None = None) -> str:
    """The same of a text, such as a message.

    speaks_of: the configuration of its run; the secrets of its keys are then known wherever they stand.
    """
    for secret in sorted(set(_hidden(speaks_of or {})), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _text(text, variables())


def redacted_override(override: str) -> str:
    """KEY=VALUE of a command line: the key says what the value is, however that is quoted."""
    key, equals, value = override.partition("=")
    if equals and any(_is_secret(part, value) for part in key.split(".")):
        return f"{key}={MASK}"
    return redacted_text(override)


def redacted_names(names: Sequence[str], key: str = "") -> dict[str, str]:
    """What values, which the key has, are called. Those that would share a name are numbered: ***, *** (2)."""
    secrets = variables()
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if name not in shown:
            found = MASK if any(_is_secret(part, name) for part in key.split(".")) else _text(name, secrets)
            number = 1
            while (label := found if number == 1 else f"{found} ({number})") in taken:
                number += 1
            shown[name] = label
            taken.add(label)
    return shown


def variables() -> list[tuple[str, str]]:
    """The environment variables whose names say that their values are secrets. PWD is the current folder of a shell."""
    return [
        (name, value) for name, value in os.environ.items() if len(value) >= 8 and name != "PWD" and names_secret(name)
    ]


@functools.lru_cache(maxsize=10_000)  # thousands of runs have the same few keys
def names_secret(name: str) -> bool:
    """Whether a name says that its value is a secret."""
    return _NAME.search(_HUMP.sub("_", name)) is not None


def _is_secret(name: str, value: Any) -> bool:
    """Whether a value is one, by its name. Switches are none, and no number of a vocabulary."""
    if not names_secret(name) or value is None or isinstance(value, bool) or value == "":
        return False
    text = str(value).strip("'\"")
    if text.startswith("${") or text.lower() in ("null", "true", "false"):
        return False
    return not (_TOKEN.search(name) and re.fullmatch(r"-?[0-9]+", text))


def _redacted(value: Any, name: str, secrets: Sequence[tuple[str, str]]) -> Any:
    if isinstance(value, Mapping):
        return {
            _text("{" + key, secrets)[1:] if isinstance(key, str) else key: _redacted(item, _inner(name, key), secrets)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(item, name, secrets) for item in value]
    if _is_secret(name, value):
        return next((_named(variable) for variable, secret in secrets if secret == str(value)), MASK)
    return _text(value, secrets) if isinstance(value, str) else value


def _hidden(value: Any, name: str = "") -> Iterator[str]:
    """The values that their keys call secrets, where they are long enough not to be met by chance."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _hidden(item, _inner(name, key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _hidden(item, name)
    elif _is_secret(name, value) and len(str(value)) >= 6:
        yield str(value)


def _inner(name: str, key: Any) -> str:
    """What decides on a value within a mapping that has the name: all that credentials hold is secret."""
    return next((part for part in (name, *str(key).split(".")) if names_secret(part)), str(key))


def _text(text: str, secrets: Sequence[tuple[str, str]]) -> str:
    for variable, secret in secrets:
        text = text.replace(secret, _named(variable))
    if "//" in text:
        for address in (_USER, _WEB):
            text = address.sub(_without_user, text)
    text = _HEADER.sub(lambda found: f"{found['kind']}{MASK}", _KEY.sub(MASK, text))
    return "".join(_pairs(text)) if "=" in text or ":" in text else text


def _named(variable: str) -> str:
    return f"${{oc.env:{variable}}}"


def _without_user(found: re.Match[str]) -> str:
    """An address without user and password, unless the password is the name of a variable already."""
    user = found[0].removeprefix(found["scheme"])
    return found[0] if _VARIABLE.fullmatch(user) else f"{found['scheme']}{MASK}@"


def _pairs(text: str) -> Iterator[str]:
    """The text in parts, without the values that their keys call secrets."""
    done = 0
    for found in _PAIR.finditer(text):
        if found.start() < done:  # within a value that was left out
            continue
        name = next((part for part in found["key"].split(".") if names_secret(part)), "")
        if not name or (":" in found["equals"] and not _CERTAIN.search(name) and not _in_braces(found)):
            continue
        value = _VALUE.match(text, found.end())
        if value is not None and value[0] != MASK and _is_secret(name, value[0]):
            yield text[done : found.end()] + MASK
            done = value.end()
    yield text[done:]


def _in_braces(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 500) : found.start()]
    return before.rfind("{") > before.rfind("}")

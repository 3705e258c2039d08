"""The terminal. Names and messages come from files of others too, so they never reach it as they are."""

from __future__ import annotations

import re
import sys

from paribus.base.redaction import redacted_text

# Control characters (a terminal obeys them), marks that turn the direction of a text, and halves of characters.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    r"""The text with every character that a terminal would obey written as \x1b is; lines and tabs stay."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(line: str) -> None:
    """Tell the person: on stderr, at once, without secrets; logs keep what is said."""
    sys.stderr.write(plain(redacted_text(line)) + "\n")
    sys.stderr.flush()


def tell_progress(line: str) -> None:
    """A line of progress on stderr: it takes the place of the last one on a terminal, and is a line of its own in a
    log. An empty one clears the terminal's line."""
    text = plain(redacted_text(line))
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
    elif text:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show(text: str, end: str = "\n", styled: bool = False) -> None:
    """The result of a command, on stdout. styled: it is safe, and may have escape codes of ours."""
    sys.stdout.write((text if styled else plain(text)) + end)
    sys.stdout.flush()

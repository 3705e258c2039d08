"""Words for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(wanted: object, options: Iterable[str], most: int = 2) -> str:
    """` Did you mean A or B?` of the options that look like what was wanted; nothing where none does."""
    found = difflib.get_close_matches(str(wanted), list(options), n=most, cutoff=0.5)
    return f" Did you mean {' or '.join(found)}?" if found else ""

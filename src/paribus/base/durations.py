"""Lengths of time, as people write and read them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from paribus.base.errors import UserError

LONGEST = 1000 * 365 * 86400.0
_UNITS = {"": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def duration(seconds: float) -> str:
    """43 s, 5 min 20 s, 3 h 10 min, 4 d 2 h."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def in_seconds(text: str | float) -> float:
    """The seconds of 90, "90s", "15min", "2h", "1.5d" or "1h30m". Raises UserError for anything else."""
    compact = str(text).replace(" ", "").lower()
    part = r"(\d+(?:\.\d+)?)(min|[smhdw]?)"
    if isinstance(text, bool) or not re.fullmatch(f"(?:{part})+", compact):
        raise UserError(f"a length of time is a number of seconds, or 90s, 15min, 2h, 1d, 1h30m; got {text!r}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(part, compact))
    if not seconds < LONGEST:
        raise UserError(f"a length of time is shorter than 1000 years, got {text!r}")
    return seconds


def seconds_since(moment: str | None) -> float | None:
    """Age of an ISO 8601 time; None where there is none or it can't be read."""
    try:
        then = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=timezone.utc)
    return (datetime.now(timezone.utc) - then).total_seconds()

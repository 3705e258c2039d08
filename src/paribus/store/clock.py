"""Times as records hold them, and spans of time as people read and write them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from paribus.errors import UserError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds_since(moment: str | None) -> float | None:
    """Age of an ISO 8601 time; None where there is none or it can't be read."""
    try:
        then = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return (datetime.now(timezone.utc) - then).total_seconds()


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


def parse_duration(text: str) -> float:
    """Seconds of 90s, 30m, 12h, 2d, 1.5w. Raises UserError for anything else."""
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip())):
        raise UserError(f"a span of time is a number and s, m, h, d or w, as in 12h or 2d, got {text!r}")
    return float(match.group(1)) * _UNITS[match.group(2)]

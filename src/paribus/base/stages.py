"""The stages of an interrupted computation that is no training: found again by the same command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paribus.base import archive


def load_stages(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What an interrupted analysis with the same settings has found; {} where there is none, or a damaged file."""
    try:
        content = archive.read(path)
        return content["stages"] if content["settings"] == settings else {}
    except Exception:  # none yet, or zip, pickle and key errors: computed again, and overwritten
        return {}

"""A loss landscape as one HTML file that needs no network: heat maps, contours, lines, values under the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from paribus.extras.surfaces.landscape_figure import caption, describe


def page(result: Mapping[str, Any]) -> str:
    """The page. Numbers are rounded to five digits, which no eye can tell apart; the JSON beside it has them all."""
    template = files("paribus.extras.surfaces").joinpath("landscape_page.html").read_text(encoding="utf-8")
    shown = {key: result[key] for key in ("beside", "line", "plane", "trajectory", "interpolation") if key in result}
    data = json.dumps(_rounded(shown), separators=(",", ":"), allow_nan=False)
    notes = "".join(f"<li>{escape(line)}</li>" for line in describe(result).splitlines()[1:])
    return (
        template.replace("{{title}}", escape(f"Loss landscape of {result['run']}"))
        .replace("{{caption}}", escape(caption(result)))
        .replace("{{notes}}", notes)
        .replace("{{data}}", data.replace("</", "<\\/"))
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value

"""The style of figures: legible in a two-column paper, in grey print, and to colour-blind eyes."""

from __future__ import annotations

from typing import Any

# Okabe & Ito 2008, "Color universal design", without yellow, which white paper swallows, and with a brown and
# a grey.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4A1E", "#7F7F7F")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*")

RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "lines.markeredgecolor": "white",
    "lines.markeredgewidth": 0.4,
    "legend.frameon": False,
    "figure.dpi": 200,
}
# Read when a figure is saved, so they can't be part of its own style: text stays text, and the bytes depend
# on nothing but the content.
SAVING: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "paribus",
}


def look(number: int) -> dict[str, Any]:
    """How arm `number` is drawn in every panel: the first, the baseline, in black, no two of 100 alike."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number % len(COLOURS) + number // len(COLOURS)) % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
    }

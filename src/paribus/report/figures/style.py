"""The style of figures: legible in a two-column paper, in grey print, and to colour-blind eyes."""

from __future__ import annotations

from typing import Any

from paribus.base.errors import UserError

COLUMN = 3.25  # inches: a column of ICML's and CVPR's pages, as wide as a table (report/tables/latex.py)
TEXT = 6.75  # both columns of these pages
WIDTHS = {"column": COLUMN, "text": TEXT}
NARROWEST, WIDEST, TALLEST = 2.5, 14.0, 9.0  # inches; a page of text is nine high
SMALL, NORMAL = 7, 8  # points, at the size at which a figure is printed

# Okabe & Ito 2008, "Color universal design", without yellow, which white paper swallows, and with a brown and
# a grey.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4A1E", "#7F7F7F")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*")

RC: dict[Any, Any] = {
    "font.size": NORMAL,
    "axes.labelsize": NORMAL,
    "axes.titlesize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.4,
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
    "savefig.dpi": 300,
}


def inches(width: str) -> float:
    """Of a figure that is a column wide, as wide as the text, or as wide as a number says.

    Raises UserError for what is none of these.
    """
    if width in WIDTHS:
        return WIDTHS[width]
    try:
        found = float(width)
    except ValueError:
        found = float("nan")
    if not NARROWEST <= found <= WIDEST:
        raise UserError(
            f"a figure's width is column ({COLUMN:g} inches), text ({TEXT:g} inches) or a number of inches from "
            f"{NARROWEST:g} to {WIDEST:g}, got {width}. In a paper of one column, such as NeurIPS's: --width 5.5"
        )
    return found


def look(number: int) -> dict[str, Any]:
    """How arm `number` is drawn in every panel: the first, the baseline, in black, no two of 100 alike."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number % len(COLOURS) + number // len(COLOURS)) % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
    }

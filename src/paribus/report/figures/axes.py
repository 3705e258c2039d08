"""The common parts of figures: headings, legends beside the panels, axes in percent, names as they stand."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from paribus.report.escape import plain
from paribus.report.figures.style import look

LONGEST = 40  # characters of a name
SECTIONS = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=\w+=)")  # of the key in a.b.key=value
LETTER = 0.075  # inches, of an average letter at 8.5 points
ROWS = 24  # of a legend, in one column


def shortened(name: str) -> str:
    """A user's name as it is drawn: one line, never empty, never longer than `LONGEST`.

    A longer one loses the sections of its keys first: what tells arms apart is often the last value.
    """
    name = plain(name) or "(no name)"
    if len(name) > LONGEST:
        name = SECTIONS.sub("", name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def letters(names: Sequence[str]) -> float:
    """Inches that the longest of these names takes."""
    return LETTER * max((len(shortened(name)) for name in names), default=0)


def legend_width(names: Sequence[str]) -> float:
    return math.ceil(len(names) / ROWS) * (0.75 + letters(names))


def size(width: float, names: Sequence[str], least: float = 2.7) -> tuple[float, float]:
    """Of a figure with panels of this width and a legend beside them, in inches."""
    return width + legend_width(names), max(least, 0.7 + 0.19 * min(ROWS, len(names)))


def counted(numbers: Sequence[int]) -> str:
    """3, or 3 to 5."""
    found = sorted(set(numbers)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def legend(figure: Figure, names: Sequence[str], numbers: Sequence[int] | None = None, line: bool = True) -> None:
    """Beside the panels, in the order of the arms.

    numbers: of the looks, where the names are not all arms. line: markers on lines, or alone.
    """
    drawn = [look(k) for k in (range(len(names)) if numbers is None else numbers)]
    handles = [Line2D([], [], **(style if line else {**style, "linestyle": "none"})) for style in drawn]
    # Given as numbers and then replaced, because a legend leaves out labels that begin with an underscore.
    made = figure.legend(
        handles,
        [str(k) for k in range(len(names))],
        loc="outside right upper",
        ncols=math.ceil(len(names) / ROWS),
        handlelength=3.2 if line else 1.2,
    )
    for written, name in zip(made.get_texts(), names, strict=True):
        as_it_stands(written, shortened(name))


def as_it_stands(written: Text, name: str) -> None:
    """A name is never taken for a formula."""
    written.set_text(name)
    written.set_parse_math(False)


def heading(figure: Figure, name: str, *said: str) -> None:
    """The name of the ablation and what the reader must know, a line for each, wrapped so that it ends before a legend
    that stands beside the panels. Call it after `legend`.
    """
    first, *others = said
    taken = sum(legend_width([written.get_text() for written in made.get_texts()]) for made in figure.legends)
    across = max(20, int((figure.get_figwidth() - taken) / LETTER))
    lines = [line for text in (f"{shortened(name)}: {first}", *others) for line in balanced(text, across)]
    figure.suptitle("\n".join(lines), fontsize=9, x=0.01, ha="left", parse_math=False)


def balanced(text: str, across: int) -> list[str]:
    """Lines of at most so many characters, as few as there can be and about equally long, so that no word stands alone
    in the last one. An equation stays in one line, and so does a word, unless it is too long for any.
    """
    text = text.replace(" = ", "\u00a0=\u00a0")
    lines = textwrap.wrap(text, across)
    for shorter in range(across - 1, max(map(len, text.split(" "))), -1):
        narrower = textwrap.wrap(text, shorter)
        if len(narrower) > len(lines):
            break
        lines = narrower
    return [line.replace("\u00a0", " ") for line in lines]


def name_ticks(panel: Axes, names: Sequence[str], axis: str = "y") -> None:
    """One tick for each name, as it stands; on x they are turned where they would touch."""
    which = panel.yaxis if axis == "y" else panel.xaxis
    turned: dict[str, Any] = {}
    if axis == "x" and max(map(len, names), default=0) > 7:
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    which.set_ticks(range(len(names)), [shortened(name) for name in names], parse_math=False, **turned)
    which.set_tick_params(length=0)


def room(panel: Axes, values: Sequence[float], log: bool = False) -> None:
    """Limits from these values, so that a wide band does not squeeze what matters."""
    if values and max(values) > min(values):
        low, high = (math.log(min(values)), math.log(max(values))) if log else (min(values), max(values))
        margin = 0.06 * (high - low)
        limits = low - margin, high + margin
        panel.set_ylim(*(map(math.exp, limits) if log else limits))


def error_scale(panel: Axes, lowest: float) -> None:
    """y -> -log(101 - y) for percent: the error on a logarithmic axis that reaches zero."""
    panel.set_yscale("function", functions=(lambda y: -np.log(np.maximum(101 - y, 1e-3)), lambda z: 101 - np.exp(-z)))
    panel.set_ylim(max(0.0, lowest - 0.05 * (101 - lowest)), 100.1)
    panel.yaxis.set_major_locator(FixedLocator((0, 40, 60, 70, 80, 85, 90, 93, 95, 97, 98, 99, 100)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def log_losses(panel: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis around these values, with numbers as people write them."""
    panel.set_yscale("log")
    room(panel, values, log=True)
    plain_logs(panel)


def plain_logs(panel: Axes) -> None:
    """Ticks at 1, 2, 5, 10, ... on a logarithmic y axis; over many decades only at powers of ten."""
    low, high = panel.get_ylim()
    wide = high / max(low, 1e-300) > 1e3
    panel.yaxis.set_major_locator(LogLocator(10, (1.0,) if wide else (1.0, 2.0, 5.0), numticks=9 if wide else 12))
    if not wide:
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    panel.yaxis.set_minor_formatter(NullFormatter())


def log_ticks(panel: Axes, axis: str, values: Sequence[float]) -> None:
    """A logarithmic axis whose ticks are the values themselves, as many as there is room for."""
    which = panel.xaxis if axis == "x" else panel.yaxis
    (panel.set_xscale if axis == "x" else panel.set_yscale)("log")
    shown = sorted(set(values))
    shown = shown[:: max(1, math.ceil(len(shown) / 7))]
    if axis == "x" and len(shown) > 1:
        span = math.log(shown[-1] / shown[0])
        apart = span * (0.04 + 0.025 * max(len(tick(value)) for value in shown))
        kept = shown[-1:]  # the ends stay, and between them what leaves room for the numbers
        for value in reversed(shown[1:-1]):
            if math.log(kept[0] / value) >= apart and math.log(value / shown[0]) >= apart:
                kept.insert(0, value)
        shown = [shown[0], *kept]
    which.set_major_locator(FixedLocator(shown))
    which.set_minor_locator(NullLocator())
    which.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def tick(value: float) -> str:
    """Three digits, but whole numbers as they stand: 0.00316, 1024 and not 1.02e+03."""
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"

"""The common parts of figures: names as they stand, axes in percent and in powers, ticks that leave room."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from paribus.base.metrics import Key
from paribus.report.escape import plain
from paribus.report.figures.style import RC, SMALL

LONGEST = 40  # characters of a name in one line
LONGEST_IN_LINES = 64  # of one that is broken into lines
SECTIONS = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=\w+=)")  # of the key in a.b.key=value
PIECES = re.compile(r"[^=_.:/+-]+[=_.:/+-]*|[=_.:/+-]+")  # of a word, behind which it may be broken
LINE = 1.25 / 72  # inches that a line of text takes, for each point of its size
FENCES = 4.0  # what lies so many interquartile ranges beyond the quartiles does not stretch an axis
FEW = 0.1  # of the values, which may lie beyond


def shortened(name: str, longest: int = LONGEST) -> str:
    """A user's name as it is drawn: one line, never empty, never of more characters than that.

    A longer one loses the sections of its keys first: what tells arms apart is often the last value.
    """
    name = plain(name) or "(no name)"
    if len(name) > longest:
        name = SECTIONS.sub("", name)
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


@functools.lru_cache(4096)
def across(text: str, points: float = SMALL) -> float:
    """Inches that the longest line of a text takes."""
    font = FontProperties(family=RC.get("font.family"), size=points)
    return max(text_to_path.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")) / 72


def wrapped(name: str, room: float, points: float = SMALL) -> str:
    """A name in lines of so many inches, broken behind a comma, or else at spaces. A word is broken only where it is
    longer than a line, behind a sign if there is one."""
    lines = [""]
    for part in re.findall(r"(?:[^,]|,(?! ))+,? ?", shortened(name, LONGEST_IN_LINES)):
        part = part.strip()
        if lines[-1] and across(f"{lines[-1]} {part}", points) > room:
            lines.append("")
        for word in part.split(" "):
            _add(lines, word, room, points)
    return "\n".join(lines)


def _add(lines: list[str], word: str, room: float, points: float) -> None:
    longer = f"{lines[-1]} {word}".lstrip()
    if across(longer, points) <= room:
        lines[-1] = longer
        return
    lines += [""] if lines[-1] else []
    for piece in PIECES.findall(word):
        if lines[-1] and across(lines[-1] + piece, points) > room:
            lines.append("")
        for letter in piece:
            if lines[-1] and across(lines[-1] + letter, points) > room:
                lines.append("")
            lines[-1] += letter


def height(text: str, points: float = SMALL) -> float:
    """Inches that its lines take."""
    return (text.count("\n") + 1) * points * LINE


def counted(numbers: Sequence[int]) -> str:
    """3, or 3 to 5."""
    found = sorted(set(numbers)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def as_it_stands(written: Text, name: str) -> None:
    """A name is never taken for a formula."""
    written.set_text(name)
    written.set_parse_math(False)


def name_ticks(panel: Axes, names: Sequence[str], axis: str = "y", room: float = 1.0) -> None:
    """One tick for each name, as it stands, in lines of so many inches; on x they are turned where they would touch."""
    which = panel.yaxis if axis == "y" else panel.xaxis
    turned = axis == "x" and max((across(shortened(name)) for name in names), default=0.0) > room
    lines = [shortened(name) if turned else wrapped(name, room) for name in names]
    style: dict[str, Any] = {"rotation": 90} if turned else {}
    which.set_ticks(range(len(names)), lines, parse_math=False, **style)
    which.set_tick_params(length=0)


def room(panel: Axes, values: Sequence[float], log: bool = False) -> None:
    """Limits from these values, so that a wide band does not squeeze what matters."""
    if values and max(values) > min(values):
        low, high = (math.log(min(values)), math.log(max(values))) if log else (min(values), max(values))
        margin = 0.06 * (high - low)
        limits = low - margin, high + margin
        panel.set_ylim(*(map(math.exp, limits) if log else limits))


def without_outliers(values: Sequence[float]) -> list[float]:
    """The values that an axis spans, in order: all, or all but the few that would more than double it."""
    finite = sorted(value for value in values if math.isfinite(value))
    if len(finite) < 8:
        return finite
    low, high = (float(each) for each in np.quantile(finite, (0.25, 0.75)))
    reach = FENCES * (high - low)
    kept = [value for value in finite if low - reach <= value <= high + reach]
    many = len(finite) - len(kept) > FEW * len(finite)
    return finite if many or finite[-1] - finite[0] <= 2 * (kept[-1] - kept[0]) else kept


def is_wide(metric: Key, values: Iterable[float]) -> bool:
    """Whether values stand on a logarithmic axis: of what falls towards zero, all positive, over a decade or more."""
    finite = [value for value in values if math.isfinite(value)]
    return metric.metric.falls and min(finite, default=0.0) > 0 and max(finite) >= 10 * min(finite)


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
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value) if wide else tick(value)))
    panel.yaxis.set_minor_formatter(NullFormatter())


def few_powers(panel: Axes, most: int = 3) -> None:
    """Ticks of a logarithmic x axis at powers of ten, a few of them where there is no room for more."""
    panel.xaxis.set_major_locator(LogLocator(10, numticks=most))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    panel.xaxis.set_minor_locator(NullLocator())


def log_ticks(panel: Axes, axis: str, values: Sequence[float]) -> None:
    """A logarithmic axis whose ticks are the values themselves; `sheet.Sheet` thins them to those there is room for."""
    which = panel.xaxis if axis == "x" else panel.yaxis
    (panel.set_xscale if axis == "x" else panel.set_yscale)("log")
    which.set_major_locator(FixedLocator(sorted(set(values))))
    which.set_minor_locator(NullLocator())
    which.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def tick(value: float) -> str:
    """Three digits, but whole numbers as they stand: 0.00316, 1024 and not 1.02e+03; 3.16e-5."""
    return (
        f"{value:.0f}" if 1000 <= value < 1e6 else re.sub(r"e([+-])0?", lambda e: f"e{e[1].strip('+')}", f"{value:.3g}")
    )


def power(value: float) -> str:
    """10⁻³, in digits that are as large as the others of the figure."""
    exponent = f"{math.log10(value):.0f}" if value > 0 else "0"
    return "10" + exponent.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))

"""The sheet of a figure: as wide as it is printed, lines with their names at their ends, and a caption beside it.

Nothing is scaled afterwards, so type has the size that it says. Up to `MOST` arms share a panel, and each has a colour,
a dash and a marker of its own. More have a small panel each, where an arm stands out against all the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis, YAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from paribus.evidence.arms import ReportError
from paribus.report.figures.axes import across, as_it_stands, height, wrapped
from paribus.report.figures.style import NORMAL, RC, SMALL, TALLEST, look

MOST = 6  # arms that share a panel
PANEL, LITTLE = 2.8, 0.85  # inches, the least width of a panel, and of one of many small ones
HIGH, LOW, LOWEST = 1.75, 0.72, 0.5  # inches, their heights; small ones get lower where they are many
GAP, SAMPLE = 0.09, 0.24  # inches: beside a panel, and of the line in front of a name
OTHERS, STRONG, FIRST = "#c4c4c4", "#0072B2", "#000000"  # in small panels: all arms, the arm, the baseline
Part = TypeVar("Part")
Draw = Callable[[Axes, Part, int, dict[str, Any], bool], tuple[float, float] | None]


@dataclass
class End:
    """A name beside a panel. at: where its line ends, in the units of the data; None where all end alike."""

    panel: Axes
    written: Text
    style: dict[str, Any]
    at: tuple[float, float] | None


@dataclass
class Sheet:
    """A figure in the making."""

    figure: Figure
    ends: list[End] = field(default_factory=list)

    def label_ends(
        self,
        panel: Axes,
        names: Sequence[str],
        styles: Sequence[dict[str, Any]],
        ends: Sequence[tuple[float, float] | None],
        room: float,
    ) -> None:
        """The names of lines to the right of a panel, each behind a sample of its line, as high as the line ends."""
        beside = panel.transAxes + ScaledTranslation(2 * GAP + SAMPLE, 0, self.figure.dpi_scale_trans)
        for name, style, at in zip(names, styles, ends, strict=True):
            written = panel.text(1, 0.5, "", transform=beside, va="center", fontsize=SMALL, linespacing=1.15)
            as_it_stands(written, wrapped(name, room))
            self.ends.append(End(panel, written, style, at if at is not None and all(map(math.isfinite, at)) else None))

    def settle(self) -> None:
        """Places what depends on the layout: names at the ends of lines, and ticks as far as there is room."""
        before: list[float] = []
        for _ in range(6):  # the numbers of an axis take room from the panels, and which there are depends on it
            self.figure.draw_without_rendering()
            thinned = False
            seen = set()  # panels share their axes, and numbers are old until they are drawn again
            for panel in _panels(self.figure) if self.figure.get_layout_engine() is None else ():
                _inward(panel)
            for axis in (axis for panel in _panels(self.figure) for axis in (panel.xaxis, panel.yaxis)):
                if axis.major not in seen and _thin(axis):
                    thinned = True
                    seen.add(axis.major)
            now = [edge for panel in self.figure.axes for edge in panel.get_position().bounds]
            if not thinned and (self.figure.get_layout_engine() is None or np.allclose(now, before or 0.0, atol=1e-4)):
                break
            before = now
        self.figure.set_layout_engine("none")  # everything has its place, and stays there where another style rules
        for axis in {
            axis.major: axis for panel in _panels(self.figure) for axis in (panel.xaxis, panel.yaxis)
        }.values():
            if not _named(axis):
                _keep(axis, [float(at) for at in axis.get_majorticklocs()])
        for panel in dict.fromkeys(end.panel for end in self.ends):
            _place(self.figure, panel, [end for end in self.ends if end.panel is panel])


@contextmanager
def drawing(width: float, high: float, placed: bool = False) -> Iterator[Sheet]:
    """A sheet of this size in inches, which is settled at the end. placed: whether its panels have their places."""
    with rc_context(RC):
        sheet = Sheet(Figure(figsize=(width, max(1.0, high)), layout=None if placed else "constrained"))
        if not placed:
            engine: Any = sheet.figure.get_layout_engine()
            engine.set(w_pad=0.03, h_pad=0.03, hspace=0.02, wspace=0.02)
        yield sheet
        sheet.settle()


def captioned(figure: Figure, *sentences: str) -> Figure:
    """The figure with a caption, which stands in no picture: a paper sets it below."""
    figure.set_label(" ".join(_sentence(each) for each in sentences if each))
    return figure


def caption(figure: Figure) -> str:
    return str(figure.get_label())


def small(arms: Sequence[str]) -> bool:
    """Whether arms have a small panel each."""
    return len(arms) > MOST


def lines(
    width: float,
    arms: Sequence[str],
    parts: Sequence[Part],
    draw: Draw[Part],
    dress: Callable[[Axes, Part], None],
    heads: Sequence[str] = (),
    below: float = 0.0,
) -> tuple[Figure, Sequence[Part], str]:
    """A panel for each part (a metric, say) with a line for each arm; or one for each arm of each part.

    draw: one arm, in a style; the last argument says whether it is more than a shape in the background. It returns
    where the line ends, or None where its end says nothing. dress: the axes of a panel. heads: of the parts. below:
    inches that names below a panel take beyond a line.

    Returns the figure, the parts that there was room for, the first ones, and what a caption says of small panels.
    """
    if small(arms):
        return _little(width, arms, parts, draw, dress, heads, below)
    columns = max(1, min(len(parts), int(width // PANEL)))
    rows = math.ceil(len(parts) / columns)
    beside = min(0.38 * width / columns, max(across(wrapped(arm, 9.0)) for arm in arms)) if len(arms) > 1 else 0.0
    names = [wrapped(arm, beside) for arm in arms]
    high = max(HIGH, sum(height(name) + 0.02 for name in names) + 0.1)
    with drawing(width, rows * (high + 0.42 + below + (0.16 if heads else 0))) as sheet:
        panels = list(sheet.figure.subplots(rows, columns, squeeze=False).flat)
        for k, (panel, part) in enumerate(zip(panels, parts, strict=False)):
            ends = [draw(panel, part, number, look(number), True) for number in range(len(arms))]
            dress(panel, part)
            if heads:
                _head(panel, heads[k], width / columns - beside - 0.6)
            if len(arms) > 1:
                sheet.label_ends(panel, arms, [look(number) for number in range(len(arms))], ends, beside)
        for panel in panels[len(parts) :]:
            panel.remove()
    return sheet.figure, parts, ""


def _little(
    width: float,
    arms: Sequence[str],
    parts: Sequence[Part],
    draw: Draw[Part],
    dress: Callable[[Axes, Part], None],
    heads: Sequence[str],
    below: float,
) -> tuple[Figure, Sequence[Part], str]:
    left = 0.52 + (0.12 if below else 0)  # inches, for the numbers of an axis and its name
    columns = max(1, int((width - left) // LITTLE))
    rows = math.ceil(len(arms) / columns)
    wide = (width - left - 0.06) / columns
    named = [wrapped(arm, 0.95 * (wide - 0.08)) for arm in arms]
    tops = [max(map(height, named[columns * row : columns * (row + 1)])) + 0.07 for row in range(rows)]
    if rows > 1 and len(arms) % columns:  # numbers of an axis stand above the gap in the last row
        tops[-1] += 0.16
    under = room_below(1) if below else 0.0
    foot = 0.42 + under
    around = sum(tops) + rows * under + foot + (0.2 if heads else 0)
    low = min(LOW, max(LOWEST, (TALLEST - around) / rows))
    each = around + rows * low
    if each > TALLEST + 1e-9:
        raise ReportError(
            f"{len(arms)} arms have a small panel each, which needs {each:.0f} inches of height, got {TALLEST:g}. "
            f"Draw it with --width text, or compare fewer arms"
        )
    kept = parts[: max(1, int(TALLEST // each))]
    high = len(kept) * each
    with drawing(width, high, placed=True) as sheet:
        for block, part in enumerate(kept):
            top = high - block * each
            if heads:
                as_it_stands(_at(sheet, width / 2, top - 0.12, fontsize=NORMAL), heads[block])
                top -= 0.2
            boxes = []
            for number in range(len(named)):
                row, column = divmod(number, columns)
                bottom = top - sum(tops[: row + 1]) - (row + 1) * low - row * under
                boxes.append((left + column * wide, bottom, wide - 0.08, low))
            _block(sheet, boxes, named, columns, foot, part, draw, dress)
    said = "each arm (blue) has a panel of its own, with all others in grey and the first (black, dashed) in each"
    return sheet.figure, kept, said


def _at(sheet: Sheet, x: float, y: float, **style: Any) -> Text:
    """Empty words in the middle of a place in inches."""
    return sheet.figure.text(x, y, "", transform=sheet.figure.dpi_scale_trans, ha="center", va="center", **style)


def _block(
    sheet: Sheet,
    boxes: Sequence[tuple[float, float, float, float]],
    named: Sequence[str],
    columns: int,
    foot: float,
    part: Part,
    draw: Draw[Part],
    dress: Callable[[Axes, Part], None],
) -> None:
    """Small panels at these places: left, bottom, width and height in inches. foot: of what stands below the last."""
    width, high = sheet.figure.get_size_inches()
    behind = {"color": OTHERS, "linestyle": "-", "marker": "", "linewidth": 0.5, "zorder": 1.5}
    base = {"color": FIRST, "linestyle": (0, (3, 1.2)), "marker": "", "linewidth": 0.8, "zorder": 2.5}
    strong = {"color": STRONG, "linestyle": "-", "marker": "o", "markersize": 2.2, "linewidth": 1.3, "zorder": 3}
    first: Axes | None = None
    labels = ("", "")
    for number, (x, y, wide, tall) in enumerate(boxes):
        panel = sheet.figure.add_axes((x / width, y / high, wide / width, tall / high), sharex=first, sharey=first)
        first = first or panel
        for other in range(1, len(named)):
            if other != number:
                draw(panel, part, other, behind, False)
        if number:
            draw(panel, part, 0, base, False)
        draw(panel, part, number, strong if number else {**strong, "color": FIRST}, True)
        dress(panel, part)
        labels = panel.get_xlabel(), panel.get_ylabel()
        panel.set(xlabel="", ylabel="")
        as_it_stands(panel.title, named[number])
        panel.title.set(fontsize=SMALL, linespacing=1.15)
        panel.set_title(panel.get_title(), pad=2.5)
        last = number + columns >= len(named)
        inner = [each for each in panel.child_axes if isinstance(each, Axes)]
        for each in (panel, *inner):
            lowest = each is [panel, *inner][-1]
            each.tick_params(labelbottom=last and lowest, labelleft=number % columns == 0)
    across_middle = (boxes[0][0] + max(x + wide for x, _, wide, _ in boxes)) / 2
    as_it_stands(_at(sheet, across_middle, boxes[-1][1] - foot + 0.1, fontsize=NORMAL), labels[0])
    middle = (boxes[0][1] + boxes[0][3] + boxes[-1][1]) / 2
    as_it_stands(_at(sheet, 0.09, middle, fontsize=NORMAL, rotation=90), labels[1])


def _head(panel: Axes, name: str, room: float) -> None:
    as_it_stands(panel.title, wrapped(name, max(1.0, room), NORMAL))


def strip(panel: Axes, crosses: Sequence[tuple[float, int, str]], rows: int) -> Axes:
    """A strip below a panel, in which runs that diverged have a cross: they have no value, so they stand at none.

    crosses: of each, its x, its row and its colour.
    """
    figure: Any = panel.get_figure(root=True)
    corner: Any = panel.transAxes
    down = figure.dpi_scale_trans + ScaledTranslation(0, 0, corner)  # inches below the panel, however high that gets
    tall = room_below(rows) - 0.05
    place = blended_transform_factory(panel.transAxes, down)
    below = panel.inset_axes((0, -tall - 0.05, 1, tall), transform=place, sharex=panel)
    below.set_ylim(rows - 0.25, -0.75)
    below.set_facecolor("#f0f0f0")
    below.grid(visible=False)
    below.set_yticks([(rows - 1) / 2], ["diverged"])
    below.tick_params(axis="y", length=0)
    for x, row, colour in crosses:
        below.plot([x], [row], "x", color=colour, mec="auto", mew=1.1, ms=4, clip_on=False, zorder=5)
    panel.tick_params(axis="x", labelbottom=False, length=0)
    panel.xaxis.labelpad = 72 * room_below(rows) + 2.5 * SMALL  # below the numbers of the strip
    return below


def room_below(rows: int) -> float:
    """Inches that a strip of so many rows takes, nothing without a row."""
    return 0.11 + 0.075 * rows if rows else 0.0


def _sentence(said: str) -> str:
    said = said.strip()
    said = said[:1].upper() + said[1:]
    return said if said.endswith((".", "?", "!")) else f"{said}."


def _panels(figure: Figure) -> Iterator[Axes]:
    for panel in figure.axes:
        yield panel
        yield from (each for each in panel.child_axes if isinstance(each, Axes))


def _inward(panel: Axes) -> None:
    """Numbers at the ends of an x axis stay above it, where a panel stands close to the next."""
    if _named(panel.xaxis):
        return
    box = panel.get_window_extent()
    for each in panel.xaxis.get_major_ticks():
        each.label1.set_horizontalalignment("center")
        own = each.label1.get_window_extent()
        if own.x0 < box.x0:
            each.label1.set_horizontalalignment("left")
        elif own.x1 > box.x1:
            each.label1.set_horizontalalignment("right")


def _thin(axis: Axis) -> bool:
    """Every tick whose number touches that of the one before goes; names are no numbers, and stay. Whether any went."""
    if _named(axis):
        return False
    low, high = sorted(axis.get_view_interval())
    upright = isinstance(axis, YAxis)
    shown = []
    for each in axis.get_major_ticks():
        label = each.label1
        if low <= each.get_loc() <= high and label.get_visible() and label.get_text():
            box = label.get_window_extent()
            shown.append((each.get_loc(), *((box.y0, box.y1) if upright else (box.x0, box.x1))))
    shown.sort(key=lambda each: each[1])
    gap = (0.1 if upright else 0.35) * SMALL / 72 * axis.get_figure(root=True).dpi  # type: ignore[union-attr]
    kept: list[float] = []
    end = -math.inf
    for at, start, stop in shown:
        if start >= end + gap:
            kept.append(at)
            end = stop
    if len(kept) == len(shown):
        return False
    _keep(axis, kept)
    return True


def _named(axis: Axis) -> bool:
    return isinstance(axis.get_major_formatter(), FixedFormatter) or isinstance(axis.get_major_locator(), NullLocator)


def _keep(axis: Axis, ticks: Sequence[float]) -> None:
    formatter = axis.get_major_formatter()
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(formatter)


def _place(figure: Figure, panel: Axes, ends: Sequence[End]) -> None:
    """Names as near to the ends of their lines as they can stand without touching, each with a sample of its line."""
    box = panel.get_window_extent()
    dpi = figure.dpi
    wide, high = box.width / dpi, box.height / dpi
    wanted, tall = [], []
    for end in ends:
        share = 0.5
        if end.at is not None:
            share = float(panel.transAxes.inverted().transform(panel.transData.transform(end.at))[1])
        wanted.append(min(max(share, 0.0), 1.0) * high)
        tall.append(end.written.get_window_extent().height / dpi + 0.02)
    if all(end.at is None for end in ends):  # from above, in the order of the arms
        wanted = [high / 2 - k * 1e-6 for k in range(len(ends))]
    for end, target, y in zip(ends, wanted, spread(wanted, tall, high), strict=True):
        end.written.set_position((1, y / high))
        style = {key: value for key, value in end.style.items() if key != "zorder"}
        sample = Line2D(
            [1 + GAP / wide, 1 + (GAP + SAMPLE / 2) / wide, 1 + (GAP + SAMPLE) / wide],
            [y / high] * 3, transform=panel.transAxes, clip_on=False, markevery=[1], **style,
        )  # fmt: skip
        marks = [sample]
        if end.at is not None:
            x = float(panel.transAxes.inverted().transform(panel.transData.transform(end.at))[0])
            if x > 0.9:
                ways = [x, 1 + GAP / wide], [target / high, y / high]
                marks.append(
                    Line2D(*ways, color="#9a9a9a", linewidth=0.5, transform=panel.transAxes, clip_on=False, zorder=1.5)
                )
        for mark in marks:
            mark.set_in_layout(False)
            figure.add_artist(mark)


def spread(wanted: Sequence[float], tall: Sequence[float], high: float) -> list[float]:
    """Middles of boxes, as near as can be to where they are wanted, that do not touch and stay between 0 and `high`.

    Boxes that touch form a block around the mean of what its boxes want (pool adjacent violators). Where all are
    higher than there is room for, they overhang above and below.
    """
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    blocks: list[tuple[list[int], float]] = []  # boxes from below, and the bottom of the lowest
    total = sum(tall)
    floor, top = (min(0.0, (high - total) / 2), max(high, (high + total) / 2))
    for k in order:
        members = [k]
        while True:
            heights = [tall[m] for m in members]
            below = [sum(heights[:j]) for j in range(len(heights))]
            wish = float(np.mean([wanted[m] - b - h / 2 for m, b, h in zip(members, below, heights, strict=True)]))
            bottom = min(max(wish, floor), top - sum(heights))
            if blocks and blocks[-1][1] + sum(tall[m] for m in blocks[-1][0]) > bottom + 1e-12:
                members = [*blocks.pop()[0], *members]
                continue
            blocks.append((members, bottom))
            break
    found = [0.0] * len(wanted)
    for members, bottom in blocks:
        for k, under in zip(members, itertools.accumulate((tall[m] for m in members), initial=0.0), strict=False):
            found[k] = bottom + under + tall[k] / 2
    return found

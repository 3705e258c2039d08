"""What a printed figure must be: as wide as it says, in type that can be read, no word on another or cut off."""

from __future__ import annotations

import itertools

from matplotlib.text import Text

LEAST, MOST = 7, 9  # points
SLACK = 1.0  # pixels of two hundred an inch


def texts(figure) -> list[str]:
    return [each.get_text() for each in visible(figure)]


def visible(figure) -> list[Text]:
    """All words of a figure that are drawn."""
    figure.draw_without_rendering()
    found = [each for each in figure.findobj(Text) if each.get_text().strip() and each.get_visible()]
    drawn = []
    for panel in [*figure.axes, *(child for each in figure.axes for child in each.child_axes)]:
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
            drawn += [label for tick in beyond for label in (tick.label1, tick.label2)]
            if not axis.get_visible():
                drawn += axis.findobj(Text)
    return [each for each in found if not any(each is other for other in drawn)]


def check_figure(figure, width: float) -> None:
    shown = visible(figure)
    assert figure.get_figwidth() == width
    assert {each.get_fontsize() for each in shown if not LEAST <= each.get_fontsize() <= MOST} == set()
    boxes = [(each.get_text(), each.get_window_extent()) for each in shown]
    room = figure.bbox
    cut = [
        said for said, box in boxes
        if min(box.x0, box.y0) < -SLACK or box.x1 > room.x1 + SLACK or box.y1 > room.y1 + SLACK
    ]  # fmt: skip
    assert cut == []
    touching = [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > SLACK and min(a.y1, b.y1) - max(a.y0, b.y0) > SLACK
    ]
    assert touching == []

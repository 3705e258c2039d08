"""Pictures of the pages as SVG, drawn without a plotting library: their bytes depend on the numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from paribus.report.page.strips import Axis

WIDTH = 720
LETTER = 7.0  # about the width of a letter of 13 pixels
COLOURS = {
    **dict.fromkeys(("SUPPORTED", "POSITIVE"), "#1b7f5c"),
    **dict.fromkeys(("REVERSED", "REFUTED"), "#b3401f"),
    "NEGLIGIBLE": "#5a6472",
    "INCONCLUSIVE": "#8a5a00",
}
INK, SOFT, SHADE, OTHERS = "#333", "#8a8f98", "#eef1f5", "#b9bec7"
CUT = 3.0  # an axis is so many times as long as the largest mean; what goes on beyond it ends in an arrow


@dataclass(frozen=True)
class Row:
    """A measurement with its interval, nan where there is none. said: the number as the table has it.

    allowed: where the claim holds, of a check that expects a number; one end may be infinite.
    """

    name: str
    value: float
    low: float
    high: float
    verdict: str
    said: str = ""
    allowed: tuple[float, float] | None = None


def differences(rows: Sequence[Row], label: str, smallest: float, claimed: str, about: str) -> str:
    """The differences of a claim, a row for each regime over one axis, with 0 and the smallest effect of interest.

    smallest: in the unit of the values. claimed: greater or less.
    """
    rows = [row for row in rows if math.isfinite(row.value)]
    if not rows:
        return ""
    names, right = _columns(rows)
    reach = CUT * max(smallest, *(abs(row.value) for row in rows))
    ends = [end for row in rows for end in (row.low, row.high) if math.isfinite(end)]
    seen = [min(max(end, -reach), reach) for end in ends]
    axis = Axis([0.0, -1.5 * smallest, 1.5 * smallest, *(row.value for row in rows), *seen], sign=True)
    plot = _Plot(axis, names, right, 24 + 28 * len(rows))
    parts = [plot.band(-smallest, smallest), *plot.frame(label)]
    parts += [plot.upright(side * smallest, "4 3") for side in (-1, 1)] + [plot.upright(0.0)]
    towards = "claimed →" if claimed == "greater" else "← claimed"
    side, anchor = (plot.left + plot.wide, "end") if claimed == "greater" else (plot.left, "start")
    parts.append(_text(side, 15, towards, SOFT, anchor))
    for k, row in enumerate(rows):
        parts += plot.row(row, 40 + 28 * k)
    return _svg(plot.high + 46, about, parts)


def measurements(rows: Sequence[Row], about: str, alike: bool = False) -> str:
    """The numbers of a check, each over an axis of its own, and shaded what the claim allows.

    alike: they are one quantity, so the axes are the same.
    """
    rows = [row for row in rows if math.isfinite(row.value)]
    if not rows:
        return ""
    ends = [[v for v in (row.value, row.low, row.high, *(row.allowed or ())) if math.isfinite(v)] for row in rows]
    if alike:
        ends = [[v for own in ends for v in own]] * len(rows)
    right = _columns(rows)[1]
    parts = []
    for k, row in enumerate(rows):
        top = 50 * k + 12
        both = row.allowed is not None and all(map(math.isfinite, row.allowed))
        plot = _Plot(Axis(ends[k] if both else [0.0, *ends[k]], margin=0.08), 16, right, top + 40)
        at = top + 28
        parts.append(_text(16, top + 8, row.name, INK, "start"))
        parts.append(f'<rect x="16" width="{plot.wide:g}" y="{at - 6}" height="12" fill="{SHADE}"/>')
        if row.allowed is not None:
            low, high = (min(max(end, plot.axis.low), plot.axis.high) for end in row.allowed)
            x, y = plot.x(low), plot.x(high)
            parts.append(
                f'<rect x="{min(x, y - 3):.1f}" width="{max(3.0, y - x):.1f}" y="{at - 6}" height="12" fill="#bfe0d2"/>'
            )
        parts += plot.row(row, at, named=False)
    return _svg(50 * len(rows) + 16, about, parts)


def curves(
    own: Mapping[str, Sequence[tuple[float, float]]],
    others: Iterable[Sequence[tuple[float, float]]],
    labels: tuple[str, str],
    about: str,
    chosen: Mapping[str, float],
) -> str:
    """Scores over a tuned value, which grows by factors: the lines of an option in colour, all others in grey.

    own: name -> (value, score), in the order of values. chosen: name -> the value that tuning kept.
    """
    others = [line for line in others if line]
    points = [point for line in (*own.values(), *others) for point in line]
    across = Axis([math.log10(x) for x, _ in points], margin=0.03)
    up = Axis([y for _, y in points], margin=0.05)
    left, wide, top, high = 70.0, 430.0, 16.0, 190.0

    def place(point: tuple[float, float]) -> str:
        x, y = point
        return f"{left + wide * across.at(math.log10(x)) / 100:.1f},{top + high * (1 - up.at(y) / 100):.1f}"

    parts = []
    for tick in up.ticks:
        y = top + high * (1 - tick["at"] / 100)
        parts.append(f'<line x1="{left:g}" x2="{left + wide:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e6ea"/>')
        parts.append(_text(left - 6, y + 4, tick["text"], INK, "end"))
    for power in range(math.ceil(across.low - 1e-9), math.floor(across.high + 1e-9) + 1):
        x = left + wide * across.at(power) / 100
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{top + high:g}" stroke="#e3e6ea"/>')
        parts.append(_text(x, top + high + 16, f"{10.0**power:g}", INK))
    parts += [_line([place(each) for each in line], OTHERS, 1.2) for line in others]
    strokes = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A4A1E", "#333")
    for k, (name, line) in enumerate(own.items()):
        colour = strokes[k % len(strokes)]
        parts.append(_line([place(each) for each in line], colour, 2.4))
        for each in line:
            cx, cy = place(each).split(",")
            kept = each[0] == chosen.get(name)
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="{5 if kept else 2.5}" fill="{colour}"/>')
        parts.append(_line([f"520,{top + 8 + 20 * k:g}", f"540,{top + 8 + 20 * k:g}"], colour, 2.4))
        parts.append(_text(546, top + 12 + 20 * k, _shortened(name, 22), INK, "start"))
    if others:
        y = top + 8 + 20 * len(own)
        parts += [_line([f"520,{y:g}", f"540,{y:g}"], OTHERS, 1.2), _text(546, y + 4, "the other arms", INK, "start")]
    parts.append(_text(left + wide / 2, top + high + 36, labels[0], INK))
    parts.append(_text(left, 11, labels[1], INK, "start"))
    return _svg(int(top + high + 46), about, parts)


class _Plot:
    """Rows over one axis, between the names and the numbers."""

    def __init__(self, axis: Axis, left: float, right: float, high: float):
        self.axis, self.left, self.wide, self.high = axis, left, WIDTH - left - right, high

    def x(self, value: float) -> float:
        return self.left + self.wide * self.axis.at(value) / 100

    def band(self, low: float, high: float) -> str:
        x = self.x(low)
        return f'<rect x="{x:.1f}" width="{self.x(high) - x:.1f}" y="20" height="{self.high - 16}" fill="{SHADE}"/>'

    def upright(self, value: float, dashes: str = "") -> str:
        more = f' stroke-dasharray="{dashes}"' if dashes else ""
        x = self.x(value)
        return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="20" y2="{self.high + 4}" stroke="{INK}"{more}/>'

    def frame(self, label: str) -> list[str]:
        low = self.high + 4
        parts = [f'<line x1="{self.left:g}" x2="{self.left + self.wide:g}" y1="{low}" y2="{low}" stroke="{SOFT}"/>']
        for tick in self.axis.ticks:
            x = self.left + self.wide * tick["at"] / 100
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low}" y2="{low + 5}" stroke="{SOFT}"/>')
            parts.append(_text(x, low + 18, tick["text"], INK))
        return [*parts, _text(self.left + self.wide / 2, low + 36, label, INK)]

    def row(self, row: Row, at: float, named: bool = True) -> list[str]:
        colour, parts = COLOURS.get(row.verdict, INK), []
        if named:
            parts.append(_text(self.left - 10, at + 4, _shortened(row.name), INK, "end"))
        if math.isfinite(row.high - row.low):
            bar = self.axis.bar(row.low, row.high)
            low, high = (self.left + self.wide * bar[end] / 100 for end in ("low", "high"))
            parts.append(
                f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{at}" y2="{at}" stroke="{colour}" stroke-width="3"/>'
            )
            for x, side, way in ((low, "left", -1), (high, "right", 1)):
                if side in bar["beyond"]:
                    tip = f"{x + 7 * way:.1f},{at} {x:.1f},{at - 5} {x:.1f},{at + 5}"
                    parts.append(f'<polygon points="{tip}" fill="{colour}"/>')
                else:
                    parts.append(
                        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{at - 5}" y2="{at + 5}" stroke="{colour}" '
                        'stroke-width="2"/>'
                    )
        parts.append(f'<circle cx="{self.x(row.value):.1f}" cy="{at}" r="4.5" fill="{colour}"/>')
        beyond = self.left + self.wide + 18
        parts.append(_text(beyond, at + 4, row.said, INK, "start"))
        parts.append(
            f'<text x="{WIDTH - 8}" y="{at + 4}" text-anchor="end" fill="{colour}" font-weight="bold" font-size="11">'
            f"{escape(row.verdict)}</text>"
        )
        return parts


def _columns(rows: Sequence[Row]) -> tuple[float, float]:
    """Room for the names and for what stands behind the plot."""
    names = min(30, max(len(row.name) for row in rows))
    said = max(len(row.said) for row in rows)
    return max(60.0, LETTER * names + 20), LETTER * said + 8.7 * max(len(row.verdict) for row in rows) + 44


def _shortened(name: str, longest: int = 30) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _text(x: float, y: float, text: str, colour: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _line(places: Sequence[str], colour: str, wide: float) -> str:
    return f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="{wide:g}"/>'


def _svg(high: float, about: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high:g}" font-family="sans-serif" '
        f'font-size="13" role="img" aria-label="{escape(about)}">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{high:g}" fill="white"/>', *parts, "</svg>"]) + "\n"

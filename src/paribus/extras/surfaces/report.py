"""Descents on an error surface: a table, and a figure of the surface with their trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tabulate import tabulate

from paribus.extras.surfaces.drawn import Drawn, Path
from paribus.extras.surfaces.landscape_figure import contours
from paribus.report.figures.style import RC, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def table(drawn: Drawn, paths: Sequence[Path], tolerance: float) -> str:
    """What became of each descent, in Markdown."""
    rows = []
    for path in paths:
        steps = len(path.losses) - 1
        if path.diverged:
            outcome = f"diverged after {steps} steps"
        elif drawn.lowest is None:
            outcome = f"{steps} steps; the surface has no lowest point"
        elif path.settled is not None:
            outcome = "arrived" if path.settled == path.arrived else "arrived, left, and returned"
        elif path.arrived is not None:
            outcome = f"arrived, and did not stay in {steps} steps"
        else:
            outcome = f"not there in {steps} steps"
        rows.append((path.label, path.arrived, path.settled, f"{path.losses[-1]:.4g}", outcome))
    goal = "the lowest value" if drawn.lowest is None else f"{drawn.lowest:g}"
    headers = ("descent", "steps to tolerance", "stays from", "final loss", "outcome")
    shown = tabulate(rows, headers, tablefmt="github", missingval="–", disable_numparse=True)
    return f"{drawn.name}: tolerance {tolerance:g} above {goal}\n{shown}\n"


def figure(drawn: Drawn, paths: Sequence[Path]) -> Figure:
    """The surface with all trajectories on the left, what is left of the loss over steps on the right."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(RC):
        made = Figure(figsize=(8.2, 3.4 + 0.19 * ((len(paths) + 1) // 2)), layout="constrained")
        left, right = made.subplots(1, 2)
        if drawn.y is None:
            _line(left, drawn, paths)
        else:
            _contour(made, left, drawn, paths)
        bottom = drawn.lowest if drawn.lowest is not None else 0.0
        above = drawn.lowest is not None
        for number, path in enumerate(paths):
            values = path.losses - bottom
            right.plot(np.where(values > 0, values, np.nan) if above else values, **_thin(number))
        if above:
            right.set_yscale("log")
        highest = max((float(path.losses[0] - bottom) for path in paths), default=1.0)
        drawn_low = [v for path in paths for v in (path.losses - bottom) if v > 0 and np.isfinite(v)]
        if above and drawn_low:
            right.set_ylim(max(min(drawn_low), 1e-16 * max(highest, 1e-300)) / 2, 3 * highest)
        elif not above and drawn.values is not None:
            right.set_ylim(float(drawn.values.min()), float(drawn.values.max()))
        right.set_xlabel("step")
        right.set_ylabel("loss above the lowest value" if above else "loss")
        handles = [right.plot([], [], **_thin(number))[0] for number in range(len(paths))]
        legend = made.legend(handles, [str(k) for k in range(len(paths))], loc="outside lower left", ncols=2)
        for written, path in zip(legend.get_texts(), paths, strict=True):
            written.set_text(path.label + (" (diverged)" if path.diverged else ""))
            written.set_parse_math(False)
        made.suptitle(drawn.name, fontsize=9, x=0.01, ha="left", parse_math=False)
    return made


def _contour(made: Figure, panel: Axes, drawn: Drawn, paths: Sequence[Path]) -> None:
    assert drawn.y is not None
    panel.grid(False)
    if drawn.values is not None:
        lifted = drawn.values - (drawn.lowest if drawn.lowest is not None else 0.0)
        if drawn.lowest is not None:
            lifted = np.maximum(lifted, np.sort(lifted[lifted > 0])[len(lifted) // 2])
        contours(made, panel, drawn.x, drawn.y, lifted, "loss" if not drawn.lowest else "loss above the lowest value")
    for number, path in enumerate(paths):
        x, y = path.points[:, 0], path.points[:, 1]
        style = {"color": look(number)["color"], "linewidth": 1.1}
        if drawn.values is not None and np.abs(np.diff(path.points, axis=0)).sum() < 20 * np.ptp(drawn.x):
            panel.plot(x, y, color="white", linewidth=2.4, alpha=0.7)
        else:
            style |= {"linewidth": 0.5, "alpha": 0.7}  # it swings: an outline would hide the surface
        panel.plot(x, y, **style)
        panel.plot(x[-1:], y[-1:], marker="*", color=look(number)["color"], mec="white", markersize=9)
    if paths:
        panel.plot(*paths[0].points[0, :2], marker="s", color="white", mec="black", markersize=5)
    panel.set_xlim(drawn.x[0], drawn.x[-1])
    panel.set_ylim(drawn.y[0], drawn.y[-1])
    names = ("x", "y") if drawn.values is not None else ("first coordinate", "second coordinate")
    panel.set_xlabel(names[0])
    panel.set_ylabel(names[1])


def _line(panel: Axes, drawn: Drawn, paths: Sequence[Path]) -> None:
    assert drawn.values is not None
    panel.plot(drawn.x, drawn.values, color="#7F7F7F", linewidth=1)
    span = float(drawn.values.max() - drawn.values.min())
    for number, path in enumerate(paths):
        style = _thin(number)
        lift = 0.02 * span * number  # so that descents on the same curve show as several
        panel.plot(path.points[:, 0], path.losses + lift, **{**style, "marker": "o", "markersize": 2.4})
        panel.plot(path.points[-1:, 0], path.losses[-1:] + lift, marker="*", color=style["color"], markersize=9)
    panel.set_xlim(drawn.x[0], drawn.x[-1])
    panel.set_ylim(drawn.values.min() - 0.05 * span, drawn.values.max() + 0.1 * span)
    panel.set_xlabel("x")
    panel.set_ylabel("loss")


def _thin(number: int) -> dict[str, Any]:
    style = look(number)
    return {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.1}

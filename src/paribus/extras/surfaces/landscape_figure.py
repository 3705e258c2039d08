"""Pictures of loss landscapes: lines, planes with contours, trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from paribus.report.figures.style import COLOURS, RC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def describe(result: Mapping[str, Any]) -> str:
    """What was looked at, and the numbers that the pictures are for."""
    lines = [caption(result)]
    if (line := result.get("line")) is not None:
        loss = np.array(line["loss"])
        lines.append(f"line: loss {loss[len(loss) // 2]:.4g} at the weights, up to {np.nanmax(loss):.4g} on the line")
    if (found := result.get("trajectory")) is not None:
        first, second = found["explained"]
        lines.append(
            f"trajectory: {len(found['steps'])} snapshots; the plane explains {100 * (first + second):.1f} % of their "
            f"variance ({100 * first:.1f} % + {100 * second:.1f} %; a random walk: about 75 %)"
        )
    if (found := result.get("interpolation")) is not None:
        low, high, barrier = barrier_of(found)
        lines.append(
            f"interpolation: loss {low:.4g} and {high:.4g} at the runs, distance {result['distance']:.4g}, barrier "
            f"{barrier:.4g} (the most that the line rises above the straight line between the two)"
        )
    return "\n".join(lines) + "\n"


def caption(result: Mapping[str, Any]) -> str:
    statistics = {
        "recomputed": "batch statistics recomputed from training data at each point",
        "moving": "batch statistics as at the run's end",
    }[result["statistics"]]
    runs = result["run"] + (f" to {result['other']}" if "other" in result else "")
    return f"run {runs}: mean loss over {result['samples']:,} {result['split']} samples, {statistics}"


def barrier_of(found: Mapping[str, Any]) -> tuple[float, float, float]:
    """Loss at alpha = 0, at alpha = 1, and the most by which it rises above the line between the two."""
    alpha, loss = np.array(found["axes"][0]), np.array(found["loss"])
    ends = np.interp([0.0, 1.0], alpha, loss)
    inside = (alpha >= 0) & (alpha <= 1)
    straight = ends[0] + (ends[1] - ends[0]) * alpha[inside]
    return float(ends[0]), float(ends[1]), float(max(0.0, np.max(loss[inside] - straight)))


def figures(result: Mapping[str, Any]) -> dict[str, Figure]:
    """A figure for each thing that was looked at, by name."""
    made = {}
    if (line := result.get("line")) is not None:
        made["line"] = _line(line, "random direction (1: as long as the filters)", (0.0,), result)
    if (plane := result.get("plane")) is not None:
        made["plane"] = _plane(plane, ("random direction 1", "random direction 2"), None, caption(result))
    if (found := result.get("trajectory")) is not None:
        names = tuple(f"component {k + 1} ({100 * share:.1f} %)" for k, share in enumerate(found["explained"]))
        made["trajectory"] = _plane(found, names, np.array(found["path"]), caption(result))
    if (found := result.get("interpolation")) is not None:
        made["interpolation"] = _line(found, "α: 0 is the first run, 1 the second", (0.0, 1.0), result)
    return made


def _line(found: Mapping[str, Any], label: str, marked: tuple[float, ...], result: Mapping[str, Any]) -> Figure:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    x, loss, beside = np.array(found["axes"][0]), np.array(found["loss"]), result["beside"]
    metric = np.array(found["metric"]) * (100 if beside["percent"] else 1)
    with rc_context(RC):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        panel = figure.subplots()
        (first,) = panel.plot(x, loss, color=COLOURS[1], label="loss")
        if np.nanmin(loss) > 0 and np.nanmax(loss) > 20 * np.nanmin(loss):
            panel.set_yscale("log")
        other = panel.twinx()
        (second,) = other.plot(x, metric, color=COLOURS[2], linestyle=(0, (5, 1.6)), label=beside["name"])
        other.spines["right"].set_visible(True)
        other.grid(False)
        other.set_ylabel(beside["title"])
        for value in marked:
            panel.axvline(value, color="#7F7F7F", linewidth=0.7)
        panel.legend(handles=[first, second], loc="best", frameon=True, framealpha=0.85, edgecolor="none")
        panel.set_xlabel(label)
        panel.set_ylabel("loss")
        _title(figure, caption(result))
    return figure


def _plane(found: Mapping[str, Any], labels: tuple[str, ...], path: np.ndarray | None, title: str) -> Figure:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    x, y = (np.array(axis) for axis in found["axes"])
    with rc_context(RC):
        figure = Figure(figsize=(4.6, 3.9), layout="constrained")
        panel = figure.subplots()
        panel.grid(False)
        contours(figure, panel, x, y, np.array(found["loss"]).T, "loss")
        if path is not None:
            panel.plot(path[:, 0], path[:, 1], color="white", linewidth=2.6)
            panel.plot(path[:, 0], path[:, 1], color="black", marker="o", markersize=2.6, linewidth=1)
            panel.plot(*path[0], color="white", marker="s", mec="black", markersize=5)
            panel.annotate("start", path[0], xytext=(4, 4), textcoords="offset points", fontsize=8, color="white")
        end = (0.0, 0.0) if path is None else path[-1]
        panel.plot(*end, color="white", marker="*", mec="black", markersize=9)
        panel.set_xlabel(labels[0])
        panel.set_ylabel(labels[1])
        _title(figure, title)
    return figure


def contours(figure: Figure, panel: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, label: str) -> None:
    """Filled contours of values (len(y), len(x)), at levels that are even on a logarithmic scale where that fits."""
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    high = high if high > low else low + 1e-9 * max(1.0, abs(low))
    log = low > 0 and high > 20 * low
    levels = np.geomspace(low, high, 19) if log else np.linspace(low, high, 19)
    norm: Any = LogNorm(low, high) if log else Normalize(low, high)
    levels[-1] = np.nextafter(high, np.inf)
    shown = np.clip(np.where(np.isfinite(values), values, high), levels[0], high)
    filled = panel.contourf(x, y, shown, levels=levels, norm=norm, cmap="viridis")
    panel.contour(x, y, shown, levels=levels, norm=norm, colors="white", linewidths=0.3, alpha=0.6)
    bar = figure.colorbar(filled, ax=panel, label=label, ticks=levels[::3])
    bar.ax.minorticks_off()
    bar.ax.set_yticklabels([f"{level:.3g}" for level in levels[::3]])


def _title(figure: Figure, text: str) -> None:
    import textwrap

    figure.suptitle("\n".join(textwrap.wrap(text, 78)), fontsize=7.5, x=0.01, ha="left", parse_math=False)

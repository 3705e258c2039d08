"""One run: how it learned, how its gradient went along, how near it came to the edge of stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from paribus.base.metrics import Key, Metrics
from paribus.evidence.arms import ReportError
from paribus.report.curves import curve_names
from paribus.report.figures.axes import error_scale, heading, log_losses
from paribus.report.figures.learning import AXES, History
from paribus.report.figures.style import RC, look
from paribus.report.numbers import scale, title

SPLITS = ("train", "val", "test")


def training(name: str, history: History, known: Metrics, x: str = "epoch") -> Figure:
    """Training and validation loss, accuracy, and the learning rate, on one x axis.

    Raises ReportError where the history has none of them.
    """
    drawn_names = curve_names(known, [column for column in history if _recorded(history, column)])
    groups = [[known.key(f"{split}/{each}") for split in SPLITS] for each in drawn_names] + [[Key("lr")]]
    found = {of[0]: [c for c in of if _recorded(history, c)] for of in groups}
    found = {first: columns for first, columns in found.items() if columns}
    _need(found, history, "train/loss")
    with rc_context(RC):
        figure = Figure(figsize=(2.9 * len(found), 2.9), layout="constrained")
        for panel, (first, columns) in zip(
            figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
        ):
            drawn: list[float] = []
            for number, column in enumerate(columns):
                points, values = _series(history, column, x)
                values = values * scale(column)
                drawn += values.tolist()
                gap = max(1, len(points) // 6)
                words = title(column).split(" ")[0] if len(columns) > 1 else None  # training, validation, test
                panel.plot(points, values, **look(number), markevery=(number % gap, gap), label=words)
            if first.metric.falls and min(drawn) > 0:
                log_losses(panel, drawn)
            elif first.metric.is_percent and max(drawn) > 90:
                error_scale(panel, min(drawn))
            panel.set_xlabel(AXES.get(x, x))
            panel.set_ylabel("learning rate" if first == "lr" else title(first).removeprefix("training "))
            if len(columns) > 1:  # above the panel, where no curve can be
                panel.legend(
                    loc="lower right",
                    bbox_to_anchor=(1.0, 1.0),
                    ncols=len(columns),
                    borderaxespad=0.1,
                    handlelength=2.6,
                )
        heading(figure, name, "one run")
    return figure


def gradient_over_loss(name: str, history: History, x: str = "step") -> Figure:
    """Training loss above, norm of its gradient below, on one x axis.

    A loss that no longer falls while the gradient stays as large as ever is no critical point (claim 1.1a): the
    dotted line lies a factor of ten below the first norm. Both are of many samples where the callback `plateau` has
    measured them, else of the batches that were trained on.

    Raises ReportError where the history lacks one of them.
    """
    loss, norm = ("plateau/loss", "plateau/grad_norm") if "plateau/loss" in history else ("train/loss", "grad_norm")
    _need(_recorded(history, loss) and _recorded(history, norm), history, norm)
    with rc_context(RC):
        figure = Figure(figsize=(3.9, 3.7), layout="constrained")
        panels = figure.subplots(2, 1, sharex=True)
        for number, (panel, column, label) in enumerate(
            zip(panels, (loss, norm), ("training loss", "gradient norm"), strict=True)
        ):
            points, values = _series(history, column, x)
            panel.plot(points, values, **look(number), markevery=max(1, len(points) // 8))
            tenth = [values[0] / 10] if column == norm else []
            if (values > 0).all():
                log_losses(panel, [*values, *tenth])
            for level in tenth:
                panel.axhline(level, color="#8a8a8a", linewidth=0.9, linestyle=(0, (1, 2)))
            panel.set_ylabel(label)
        panels[1].set_xlabel(AXES.get(x, x))
        heading(figure, name, "one run", "dotted: a tenth of the first gradient norm")
    return figure


def edge_of_stability(name: str, history: History, x: str = "step") -> Figure:
    """sharpness x learning rate / 2, with a line at 1: above it gradient descent on a quadratic diverges.

    Where momentum moves the edge, a second line is the same as a share of what momentum allows. Both are what
    callbacks=sharpness records; without them the product is made of the columns sharpness and lr.

    Source: Cohen et al. 2021. Raises ReportError where the history has no sharpness.
    """
    if not _recorded(history, "sharpness_lr_half"):
        _need(_recorded(history, "sharpness") and _recorded(history, "lr"), history, "sharpness")
        sharpness, rate = (np.asarray(history[column], dtype=float) for column in ("sharpness", "lr"))
        history = {**history, "sharpness_lr_half": (sharpness * rate / 2).tolist()}
    lines = {"sharpness_lr_half": "sharpness × lr / 2"}
    if _recorded(history, "stability") and not np.allclose(
        history["stability"], history["sharpness_lr_half"], equal_nan=True
    ):
        lines["stability"] = "share of the edge under momentum"
    with rc_context(RC):
        figure = Figure(figsize=(3.9, 2.9), layout="constrained")
        panel = figure.subplots()
        panel.axhline(1, color="#D55E00", linewidth=1.1, linestyle=(0, (5, 1.6)))
        top = 1.25
        for number, (column, label) in enumerate(lines.items()):
            points, values = _series(history, column, x)
            panel.plot(points, values, **look(number), markevery=max(1, len(points) // 8), label=label)
            top = max(top, 1.1 * float(values.max()))
        panel.set_ylim(0, top)
        panel.set_xlabel(AXES.get(x, x))
        panel.set_ylabel("sharpness × learning rate / 2" if len(lines) == 1 else "1 is the edge of stability")
        if len(lines) > 1:
            panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=1, borderaxespad=0.1)
        heading(figure, name, "one run", "above the dashed line steps overshoot the valley")
    return figure


def _recorded(history: History, column: str) -> bool:
    return column in history and bool(np.isfinite(np.asarray(history[column], dtype=float)).any())


def _need(found: object, history: Mapping[str, Sequence[float]], column: str) -> None:
    if not found:
        raise ReportError(f"the history of this run has no {column}")


def _series(history: History, column: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    points, values = np.asarray(history[x], dtype=float), np.asarray(history[column], dtype=float)
    keep = np.isfinite(points) & np.isfinite(values)
    return points[keep], values[keep]

"""One run: how it learned, how its gradient went along, how near it came to the edge of stability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from paribus.base.metrics import Key, Metrics
from paribus.evidence.arms import ReportError
from paribus.report.curves import curve_names
from paribus.report.figures.axes import error_scale, log_losses
from paribus.report.figures.learning import AXES, History
from paribus.report.figures.sheet import HIGH, PANEL, captioned, drawing
from paribus.report.figures.style import COLUMN, look
from paribus.report.numbers import scale, title

SPLITS = ("train", "val", "test")


def training(name: str, history: History, known: Metrics, x: str = "epoch", width: float = COLUMN) -> Figure:
    """Training and validation loss, accuracy, and the learning rate, on one x axis.

    Raises ReportError where the history has none of them.
    """
    drawn_names = curve_names(known, [column for column in history if _recorded(history, column)])
    groups = [[known.key(f"{split}/{each}") for split in SPLITS] for each in drawn_names] + [[Key("lr")]]
    found = {of[0]: [c for c in of if _recorded(history, c)] for of in groups}
    found = {first: columns for first, columns in found.items() if columns}
    _need(found, history, "train/loss")
    columns = max(1, min(len(found), int(width // PANEL)))
    rows = math.ceil(len(found) / columns)
    with drawing(width, rows * (HIGH + 0.15) + 0.3) as sheet:
        panels = list(sheet.figure.subplots(rows, columns, squeeze=False).flat)
        for panel, (first, own) in zip(panels, found.items(), strict=False):
            drawn: list[float] = []
            ends: list[tuple[float, float] | None] = []
            for number, column in enumerate(own):
                points, values = _series(history, column, x)
                values = values * scale(column)
                drawn += values.tolist()
                ends.append((float(points[-1]), float(values[-1])))
                gap = max(1, len(points) // 6)
                panel.plot(points, values, **look(number), markevery=(number % gap, gap))
            if first.metric.falls and min(drawn) > 0:
                log_losses(panel, drawn)
            elif first.metric.is_percent and max(drawn) > 90:
                error_scale(panel, min(drawn))
            panel.set_xlabel(AXES.get(x, x))
            panel.set_ylabel("learning rate" if first == "lr" else title(first).removeprefix("training "))
            if len(own) > 1:
                words = [title(column).split(" ")[0] for column in own]  # training, validation, test
                sheet.label_ends(panel, words, [look(number) for number in range(len(own))], ends, 1.0)
        for panel in panels[len(found) :]:
            panel.remove()
    what = ["learning rate" if first == "lr" else title(first).removeprefix("training ") for first in found]
    return captioned(sheet.figure, f"{name}: {', '.join(what)} of one run")


def gradient_over_loss(name: str, history: History, x: str = "step", width: float = COLUMN) -> Figure:
    """Training loss above, norm of its gradient below, on one x axis.

    A loss that no longer falls while the gradient stays as large as ever is no critical point (claim 1.1a): the
    dotted line lies a factor of ten below the first norm. Both are of many samples where the callback `plateau` has
    measured them, else of the batches that were trained on.

    Raises ReportError where the history lacks one of them.
    """
    loss, norm = ("plateau/loss", "plateau/grad_norm") if "plateau/loss" in history else ("train/loss", "grad_norm")
    _need(_recorded(history, loss) and _recorded(history, norm), history, norm)
    with drawing(width, 2 * HIGH + 0.3) as sheet:
        panels = sheet.figure.subplots(2, 1, sharex=True)
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
    return captioned(
        sheet.figure, f"{name}: training loss and norm of its gradient of one run", "dotted: a tenth of the first norm"
    )


def edge_of_stability(name: str, history: History, x: str = "step", width: float = COLUMN) -> Figure:
    """sharpness x learning rate / 2, with lines at 1 and 1/2.

    On a quadratic, gradient descent with the rate lr multiplies its distance from the minimum along an eigenvector of
    curvature s by 1 - lr s in each step. Above 1/2 the factor is negative, so steps overshoot the minimum and come
    nearer to it all the same; above 1 it is below -1, so descent diverges.

    Where momentum moves the edge, a second line is the same as a share of what momentum allows; of it only the line at
    1 means something. Both are what callbacks=sharpness records; without them the product is made of the columns
    sharpness and lr.

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
    plain = len(lines) == 1
    with drawing(width, HIGH + 0.45) as sheet:
        panel = sheet.figure.subplots()
        panel.axhline(1, color="#D55E00", linewidth=1.1, linestyle=(0, (5, 1.6)))
        if plain:
            panel.axhline(0.5, color="#8a8a8a", linewidth=0.9, linestyle=(0, (1, 2)))
        top = 1.25
        ends: list[tuple[float, float] | None] = []
        for number, column in enumerate(lines):
            points, values = _series(history, column, x)
            panel.plot(points, values, **look(number), markevery=max(1, len(points) // 8))
            ends.append((float(points[-1]), float(values[-1])))
            top = max(top, 1.1 * float(values.max()))
        panel.set_ylim(0, top)
        panel.set_xlabel(AXES.get(x, x))
        panel.set_ylabel("sharpness × lr / 2" if plain else "1 is the edge of stability")
        if not plain:
            sheet.label_ends(panel, list(lines.values()), [look(number) for number in range(2)], ends, 1.0)
    if plain:
        said = "on a quadratic, steps overshoot the minimum above the dotted line and diverge above the dashed one"
    else:
        said = "above the dashed line, momentum on a quadratic diverges by the second line, plain descent by the first"
    return captioned(sheet.figure, f"{name}: sharpness × learning rate / 2 of one run", said)


def _recorded(history: History, column: str) -> bool:
    return column in history and bool(np.isfinite(np.asarray(history[column], dtype=float)).any())


def _need(found: object, history: Mapping[str, Sequence[float]], column: str) -> None:
    if not found:
        raise ReportError(f"the history of this run has no {column}")


def _series(history: History, column: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    points, values = np.asarray(history[x], dtype=float), np.asarray(history[column], dtype=float)
    keep = np.isfinite(points) & np.isfinite(values)
    return points[keep], values[keep]

"""Learning curves as data for the page's scripts: means with their bands, and each run's own line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paribus.base.metrics import Key
from paribus.evidence.curves import mean_curve
from paribus.report.curves import curve_names
from paribus.report.numbers import possible, scale, title
from paribus.report.page.charts import axis
from paribus.report.page.thin import history_columns, kept_rows, points_each, short
from paribus.report.study import Study

BESIDE = ("lr", "grad_norm", "sharpness", "sharpness_lr_half")
X = ("epoch", "step", "seconds")
MEANS, RUNS = 600_000, 900_000  # bytes, over all studies


def learning(study: Study, share: float = 1.0) -> dict[str, Any] | None:
    """Curves of a study; None where no run has a history.

    first: the metrics that are drawn at first. own: those of a run's own curves. means: metric -> one entry for each
    arm. runs: one for each run that has a history. cut: the most points that were recorded, and that means and runs are
    drawn with; None where these are all. share: of the bytes that all studies may take.
    """
    runs = [
        (number, run)
        for number, records in enumerate(study.runs("done", "diverged", "running").values())
        for run in records
        if study.histories.get(run.id)
    ]
    logged = {key for _, run in runs for key in study.histories[run.id]}
    names = curve_names(study.known, logged, (study.metric, study.select_on))
    asked = [*(f"{split}/{name}" for name in names for split in ("train", "val")), *BESIDE]
    metrics = [study.key(metric) for metric in asked if metric in logged]
    if not runs or not metrics:
        return None
    most = points_each(int(RUNS * share), len(runs), len(metrics) + 3, least=12)
    lines = [
        {
            "arm": number,
            "id": run.id,
            "seed": run.seed,
            **_percent(history_columns(study.histories[run.id], metrics, most), metrics),
        }
        for number, run in runs
    ]
    longest = max(len(study.histories[run.id]["step"]) for _, run in runs)
    each = points_each(int(MEANS * share), len(study.arms) * len(metrics), 6, least=12)
    means = {metric: [_mean(histories, metric, each) for histories in study.curves().values()] for metric in metrics}
    axes = {
        metric: axis(metric, [v for mean in of if mean for v in mean["y"]]) for metric, of in means.items()
    }  # fmt: skip
    thinned = {"recorded": longest, "means": min(each, longest), "runs": min(most, longest)}
    labels = {metric: title(metric) for metric in metrics}
    measured = [metric for metric in metrics if metric not in BESIDE] or metrics
    return {
        "metrics": labels,
        "first": [measured[0], next((m for m in reversed(measured) if m.startswith("val/")), measured[-1])],
        "own": [metric for metric in measured if metric.metric == measured[0].metric],
        "axes": axes,
        "means": means,
        "runs": lines,
        "cut": thinned if longest > min(most, each) else None,
    }


def _mean(histories: Sequence[Any], metric: Key, most: int) -> dict[str, Any] | None:
    """Mean and band of an arm, over each of the three x axes; None without a run that has the metric."""
    log = metric.metric.falls
    curves = {x: mean_curve(histories, metric, x, log=log) for x in X}
    curve = curves["epoch"]
    if not len(curve.x):
        return None
    rows = kept_rows([curve.mean], most)
    factor = scale(metric)
    low, high = (short(possible(metric, end[rows]) * factor) for end in (curve.low, curve.high))
    band = {} if curve.n < 2 else {"low": low, "high": high}
    across = {x: short(curves[x].x[rows]) for x in X if len(curves[x].x) == len(curve.x)}
    return {**across, "y": short(curve.mean[rows] * factor), **band, "n": curve.n, "short": len(curve.partial)}


def _percent(columns: dict[str, Any], metrics: Sequence[Key]) -> dict[str, Any]:
    factors = {str(metric): scale(metric) for metric in metrics}
    return {
        name: values if (factor := factors.get(name, 1)) == 1 else short(np.array(values, dtype=float) * factor)
        for name, values in columns.items()
    }

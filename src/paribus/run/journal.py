"""The journal of a run: its metrics so far, their best values, its history and its loggers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from paribus.base.metrics import FIRST, Metrics
from paribus.run.position import Cursor
from paribus.store.history import HistoryWriter


class Journal:
    """The latest value of everything that a run logs, the best of what it validates, its history and its loggers.

    monitor: the metric that says which weights are best. known: what is declared of the metrics.
    """

    def __init__(self, history: HistoryWriter | None, monitor: str, known: Metrics = FIRST):
        self.history = history
        self.monitor = monitor
        self.known = known
        self.metrics: dict[str, float] = {}

    @property
    def best_score(self) -> float:
        """The best value of the monitored metric; nan before there is any."""
        return self.metrics.get(f"{self.monitor}_best", math.nan)

    def is_best(self, row: dict[str, float]) -> bool:
        """Add the best of each val/ metric that has a direction to `row` as *_best; whether the monitored one has never
        been better.

        A value that is nan is no improvement, and does not replace a best.
        """
        for key, value in list(row.items()):
            if key.startswith("val/") and (metric := self.known.of(key)).better is not None:
                row[f"{key}_best"] = metric.best((self.metrics.get(f"{key}_best", math.nan), value))
        return self.known.of(self.monitor).is_better(row[self.monitor], self.best_score)

    def write(self, values: dict[str, float], cursor: Cursor, loggers: Iterable[Any] | None, row: bool = True) -> None:
        """Remember `values`; write them to the history (where row is true) and to `loggers`, unless that is None."""
        self.metrics.update(values)
        if loggers is None:
            return
        values = {"epoch": cursor.epoch, "seconds": round(cursor.seconds, 6), **values}
        if row and self.history is not None:
            self.history.append({"epoch": cursor.epoch, "step": cursor.step, **values})
        for logger in loggers:
            logger.log_metrics(values, step=cursor.step)

    def flush(self) -> None:
        if self.history is not None:
            self.history.flush()

    def state(self) -> dict[str, Any]:
        return {"metrics": dict(self.metrics)}

    def load(self, state: dict[str, Any], cursor: Cursor | None) -> None:
        """cursor: where the run goes on; None for a process that writes nothing."""
        self.metrics = dict(state["metrics"])
        if self.history is not None and cursor is not None:
            self.history.resume(cursor.step)

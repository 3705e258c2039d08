"""The ledger of a run of a module: what it logs, as the history and the metrics of its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from paribus.base.metrics import Metrics
from paribus.store.history import HistoryWriter


class Ledger:
    """The latest value of everything that a module logs, and the best of its declared metrics in validation.

    known: what is declared of the metrics.

    Rows of the history have epoch (how many are over), step (updates: trainer.global_step) and seconds. There is one at
    the end of each epoch, and one for each step at which Lightning hands values to loggers (log_every_n_steps).
    """

    def __init__(self, history: HistoryWriter | None, known: Metrics, monitor: str):
        self.history = history
        self.known = known
        self.monitor = monitor
        self.metrics: dict[str, float] = {}
        self._row: dict[str, float] = {}

    def add(self, values: Mapping[str, Any], epoch: int, step: int, seconds: float) -> None:
        """Values that belong to one row: all that come at the same step are in it."""
        if self._row and self._row["step"] != step:
            self._write()
        position = {"epoch": epoch, "step": step, "seconds": round(seconds, 6)}
        numbers = {key: float(value) for key, value in values.items() if key not in position and _is_number(value)}
        self._row = {**position, **{k: v for k, v in self._row.items() if k not in position}, **numbers}

    def end_epoch(self, values: Mapping[str, Any], epoch: int, step: int, seconds: float) -> None:
        """The row of an epoch, with what Lightning knows at its end."""
        numbers = {key: float(value) for key, value in values.items() if _is_number(value)}
        self.metrics.update(numbers)
        self.add(_shown(numbers), epoch, step, seconds)
        self._write()

    def validated(self, values: Mapping[str, Any]) -> bool:
        """The values after a validation; whether the monitored one has never been better."""
        numbers = {key: float(value) for key, value in values.items() if _is_number(value)}
        before = self.best_score
        for key, value in numbers.items():
            metric = self.known.of(key)
            if metric.better and self.known.declares(key) and (key.startswith("val") or key == self.monitor):
                best = _best(key)
                self.metrics[best] = metric.best((self.metrics.get(best, math.nan), value))
        self.metrics.update(numbers)
        metric = self.known.of(self.monitor)
        return metric.better is not None and metric.is_better(numbers.get(self.monitor, math.nan), before)

    @property
    def best_score(self) -> float:
        """The best value of the monitored metric; nan before there is any."""
        return self.metrics.get(_best(self.monitor), math.nan)

    def flush(self) -> None:
        if self.history is not None:
            self.history.flush()

    def load(self, metrics: Mapping[str, float], step: int) -> None:
        """Go on from a checkpoint: later rows will be written again."""
        self.metrics = dict(metrics)
        if self.history is not None:
            self.history.resume(step)

    def _write(self) -> None:
        if self._row and self.history is not None:
            best = {key: value for key, value in self.metrics.items() if key.endswith("_best") and key not in self._row}
            self.history.append({**self._row, **best})
        self._row = {}


def _best(key: str) -> str:
    """Where the best value of a metric is kept: a module that logs val/acc_best keeps one itself."""
    return key if key.endswith("_best") else f"{key}_best"


def _shown(values: Mapping[str, float]) -> dict[str, float]:
    """Without the other names of what is logged for step and epoch: X, X_step and X_epoch are of the same metric."""
    return {
        key: value
        for key, value in values.items()
        if not any(key.endswith(end) and key.removesuffix(end) in values for end in ("_step", "_epoch"))
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (hasattr(value, "numel") and value.numel() == 1)


def history_logger(base: type, record: Any, folder: str) -> Any:
    """A logger that gives what Lightning logs to `record(values)`. base: the class Logger of the module's package."""

    def log_metrics(self: Any, metrics: Mapping[str, Any], step: int | None = None) -> None:
        record(metrics)

    def nothing(self: Any, *args: Any, **kwargs: Any) -> None:
        pass

    members = {
        "__doc__": "The history of the run, and no place for pictures: whatever else is logged is left out.",
        "log_metrics": log_metrics,
        "log_hyperparams": nothing,
        "name": property(lambda self: "history"),
        "version": property(lambda self: ""),
        "save_dir": property(lambda self: folder),
        "experiment": property(lambda self: _NoExperiment()),
    }
    return type("HistoryLogger", (base,), members)()


class _NoExperiment:
    """Takes every call that a module makes to the experiment of its logger, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None

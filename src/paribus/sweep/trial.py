"""An estimate of a run's time, by training it for a second."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paribus.ablation.cells import Cell
from paribus.config.chosen import chosen
from paribus.config.identity import BUDGET_UNITS
from paribus.run.drivers import Driver, driver_of
from paribus.store.record import Record
from paribus.sweep.grouping import grouping

UPDATES = 50  # of a module, whose epochs may be long
SECONDS = 1.0  # of training; the time of an update is steady after a few


def measure(cell: Cell, together: int = 1) -> tuple[Mapping[str, Any], str, float]:
    """(choices, budget, seconds) of a whole run, as `Costs.add` takes them.

    Trains a second of the run, at a constant learning rate and batch size, in a folder that is removed, and multiplies
    the time of an update by the number of updates. What is not training (loading, building, one validation) counts as
    it was.

    together: runs of one job; the time of an update is then that of one of them.
    """
    if (driver := driver_of(cell.run)) is not None:
        return _driven(cell, driver)
    from paribus.run import build
    from paribus.run.fit import fit

    choices, length = chosen(cell.run, cell.choices, cell.overrides), str(cell.run.length)
    updates = build.build_data(cell.run, build.build_setting(cell.run)).updates
    if updates is None:
        return choices, length, float(cell.run.length.amount)
    run = cell.run.but(
        {
            "budget": {**dict.fromkeys(BUDGET_UNITS), "seconds": SECONDS},
            "evaluation.every": 10**9,  # the last epoch is always validated
            "logger": None,
            "callbacks": None,
            "scheduler": {"_target_": "paribus.scheduler.Constant"},
            "trainer.threads": cell.run.trainer.threads or 1,  # as in a sweep
        }
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        setting = build.build_setting(run)
        data = build.build_data(run, setting)
        timing = fit(run, setting, data, Record("measured", "running"), Path(folder)).timing
        total = time.perf_counter() - started
        each = timing["ms_per_update"] / 1e3
        if together > 1:
            each *= grouping().relative_time(cell.run, setting, data, together)
    return choices, length, total - timing["update_seconds"] + updates * each


def _driven(cell: Cell, driver: Driver) -> tuple[Mapping[str, Any], str, float]:
    """`measure` of a run with a driver of its own: an epoch of it, or some updates where that is its unit."""
    unit, amount = cell.run.length
    choices, length = chosen(cell.run, cell.choices, cell.overrides), str(cell.run.length)
    if unit == "seconds":
        return choices, length, float(amount)
    part = {"epochs": 1, "updates": min(int(amount), UPDATES)}.get(unit, int(amount))
    run = cell.run.but(
        {
            "budget": {**dict.fromkeys(BUDGET_UNITS), unit: part},
            "logger": None,
            "callbacks": None,
            "trainer.threads": cell.run.trainer.threads or 1,  # as in a sweep
        }
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        timing = driver.fit(run)(Record("measured", "running"), Path(folder)).timing
    training = timing["fit_seconds"]
    return choices, length, time.perf_counter() - started - training + training * amount / part

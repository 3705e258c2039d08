"""Training from Python: the composition, the identity, the records and the reuse of `paribus train`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from paribus.api.runs import TrainedRun
from paribus.api.words import own_hydra, words
from paribus.base.errors import UserError
from paribus.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


@overload
def train(*overrides: str, multirun: Literal[False] = False, **settings: Any) -> TrainedRun: ...
@overload
def train(*overrides: str, multirun: Literal[True], **settings: Any) -> pd.DataFrame: ...
def train(*overrides: str, multirun: bool = False, **settings: Any) -> TrainedRun | pd.DataFrame:
    """Train a run in this process, or with multirun=True a sweep or an ablation in processes of their own.

    A run that has a record is not trained again: the record is read. One that was interrupted goes on.

    overrides: words of the command line, such as "norm=batch" or, in a sweep, "norm=batch,group".
    settings: values by key; dots in a key need a mapping, as in **{"optimizer.lr": 0.1}.

    Returns the run; of a sweep the rows of its runs, as `records` has them, tuning included.

    Raises UserError for a configuration that can't work, before anything is trained. RunsFailed after the last run of a
    sweep, where some have failed. Interrupted where it is stopped; the same call goes on.
    """
    given = words(overrides, settings)
    return _sweep(given) if multirun else _run(given)


def _run(given: list[str]) -> TrainedRun:
    with own_hydra():
        from hydra.types import RunMode

        from paribus.config.compose import load, user_errors
        from paribus.sweep.composed import train_composed

        with user_errors():
            config = load(given)
        if config.hydra.mode == RunMode.MULTIRUN:
            raise UserError("this command line asks for a sweep (hydra.mode). Add multirun=True")
        return TrainedRun(train_composed(config, config.hydra), Store(Path(config.paths.outputs)))


def _sweep(given: list[str]) -> pd.DataFrame:
    from paribus.sweep.train import main

    with own_hydra(), _process_as_it_was():
        from hydra.core.global_hydra import GlobalHydra

        from paribus.config.compose import user_errors

        GlobalHydra.instance().clear()  # Hydra's application makes its own
        with user_errors():
            main(["-m", *given])
    from paribus.api.frame import frame
    from paribus.config.outputs import outputs_folder
    from paribus.evidence.plans import plans_of
    from paribus.store.query import run_of

    with own_hydra():
        store = Store(outputs_folder(given))
        cells = [cell.id for plan in plans_of(given, store.read) for cell in plan.cells]
        found = [record for id in dict.fromkeys(cells) if (record := store.read(id)) is not None]
        return frame([run_of(record, store) for record in found])


@contextmanager
def _process_as_it_was() -> Iterator[None]:
    """What Hydra's application changes in a process is undone: its arguments and a setting of Hydra's."""
    arguments, setting = list(sys.argv), os.environ.get("HYDRA_FULL_ERROR")
    try:
        yield
    finally:
        sys.argv[:] = arguments
        if setting is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = setting

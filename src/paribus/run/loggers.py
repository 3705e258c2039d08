"""Lightning's loggers for one run: same id, group and tags as the run, and never a reason for it to fail."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from paribus.base.callables import parameters_of
from paribus.base.errors import UserError
from paribus.run.instantiate import instantiate
from paribus.run.targets import locate

log = logging.getLogger(__name__)


class Concluding(Logger):
    """A logger that is told how its run ended, and the numbers of its record."""

    def conclude(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        """End this run, whichever others are live in the process. `summary`: the numbers that tables show."""
        raise NotImplementedError


def csv_logger(run: Mapping[str, Any], folder: Path) -> Logger:
    return CSVLogger(save_dir=str(folder), name="", version="csv")


def tensorboard_logger(run: Mapping[str, Any], folder: Path) -> Logger:
    try:
        return TensorBoardLogger(save_dir=str(folder), name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise UserError("logger=tensorboard needs the extra: pip install 'paribus[tensorboard]'") from error


def make_logger(where: str, node: Mapping[str, Any], run: Mapping[str, Any], folder: Path) -> Any:
    """The logger of a node. Those of Paribus are told of the run and of its folder; Lightning's own write into that
    folder, unless their node says where."""
    target = locate(where, node.get("_target_"))
    takes = parameters_of(target)
    given: dict[str, Any] = {"run": run, "folder": folder}
    if not target.__module__.startswith("paribus.") and "save_dir" in takes and "save_dir" not in node:
        given["save_dir"] = str(folder)
    return instantiate(where, node, **{name: value for name, value in given.items() if name in takes})


def finish(loggers: Sequence[Logger], failed: bool, summary: Mapping[str, Any] | None = None) -> None:
    """Ends each logger's run, whatever happened; those that conclude hear of a failure and of the final numbers."""
    for logger in loggers:
        if isinstance(logger, Concluding):
            logger.conclude(1 if failed else 0, summary or {})
        else:
            try:
                logger.finalize("failed" if failed else "success")
            except OSError as error:  # a full disk; whether the run failed is not for its loggers to say
                log.warning("%s could not write its last rows: %s", type(logger).__name__, error)

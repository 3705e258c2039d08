"""The W&B logger of a run: same id, group and tags as the run, and never a reason for it to fail."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from paribus.base.errors import UserError
from paribus.extras.wandb.access import base_url, has_key, unreachable, was_silent
from paribus.extras.wandb.limits import accepted, check_project, labels
from paribus.extras.wandb.parts import UNSENT
from paribus.run.loggers import Concluding

log = logging.getLogger(__name__)

AXES = ("step", "epoch", "seconds")
_MODES = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


class SafeWandbLogger(Concluding, WandbLogger):
    """A WandbLogger whose own failures are reported once and never stop the training.

    Rows carry step, epoch and seconds, so that any of them can be the x axis. A run that goes on from a checkpoint
    repeats, bit for bit, what it had logged after it: rows before the last one that W&B has are not sent again.
    """

    def __init__(self, experiment: Any, save_dir: str):
        super().__init__(experiment=experiment, save_dir=save_dir)
        self._folder = Path(save_dir)
        self._broken = False
        self._sent = int(experiment.summary.get("step") or 0) if experiment.resumed else 0
        for axis in AXES:
            experiment.define_metric(axis)
        experiment.define_metric("*", step_metric="step")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._broken or (step is not None and step < self._sent):
            return
        try:
            self.experiment.log(dict(metrics) if step is None else {**metrics, "step": step})
        except Exception as error:  # whatever W&B raises, the run's own record goes on
            self._broken = True
            log.warning("W&B stopped logging (%s: %s). The run and its record go on.", type(error).__name__, error)

    def conclude(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        try:
            self.experiment.summary.update(accepted(summary))
            self.experiment.finish(exit_code=exit_code)
        except TimeoutError:
            was_silent()
            log.warning("W&B did not receive everything in time; the rest is stored. Upload it later: paribus sync")
            with suppress(OSError):  # a full disk, of which its own record will say more
                (self._folder / "wandb" / UNSENT).touch()
        except Exception as error:
            log.warning("W&B could not finish its run (%s: %s).", type(error).__name__, error)


def wandb_logger(
    run: Mapping[str, Any],
    folder: Path,
    *,
    project: str,
    entity: str | None = None,
    mode: str | None = None,
    wait: float = 60.0,
) -> Logger:
    """A W&B run with the run's id, so that a resumed run continues its W&B run. Several can be live in one process.

    mode: online, offline, or null for what WANDB_MODE says; without it, online where there is a key and else offline.
    wait: seconds by which a server that does not answer may hold up a run: half of them when it starts, half when it
        ends. Such a run goes on offline.

    Raises UserError for names and tags that W&B would refuse when syncing.
    """
    if mode not in (None, "online", "offline"):
        raise UserError(f"logger.wandb.mode must be online, offline or null, got {mode!r}")
    if not wait > 0:
        raise UserError(f"logger.wandb.wait must be a positive number of seconds, got {wait!r}")
    check_project(project, entity)
    known = labels(run["id"], run["group"], run["arm"], run["seed"], run["tags"])
    folder.mkdir(parents=True, exist_ok=True)
    mode = mode or _MODES.get(os.environ.get("WANDB_MODE", "")) or ("online" if has_key() else "offline")
    if mode == "online" and (reason := unreachable(wait / 8)):
        log.warning("W&B at %s can't be reached (%s): this run goes on offline.", base_url(), reason)
        mode = "offline"
    earlier = any(folder.glob("wandb/*run-*/run-*.wandb"))
    import wandb

    try:
        wandb.setup(wandb.Settings(silent=True))
        experiment = wandb.init(
            id=known.id,
            name=known.name,
            project=project,
            entity=entity,
            dir=str(folder),
            group=known.group,
            job_type=known.job_type,
            tags=known.tags,
            config=dict(run["config"]),
            mode=mode,  # type: ignore[arg-type]
            # A first offline part overwrites when it is uploaded, so that uploading it twice changes nothing.
            resume="allow" if mode == "online" or earlier else None,
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                init_timeout=wait / 4,
                finish_timeout=wait / 2,
                finish_timeout_raises=True,
                x_transaction_log_flush_interval=5.0,
            ),
        )
        if mode == "offline":
            log.info("W&B is offline. To upload later: paribus sync (or: wandb sync %s)", experiment.settings.sync_dir)
        elif mode == "online":
            log.info("W&B: %s", experiment.url)
        return SafeWandbLogger(experiment, str(folder))
    except Exception as error:  # no service, a refused key, a server that answers nonsense
        log.warning(
            "W&B could not start (%s: %s). The run and its record go on without it.", type(error).__name__, error
        )
        return CSVLogger(save_dir=str(folder), name="", version="csv")

"""Lightning's loggers for one run: same id, group and tags as the run, and never a reason for it to fail."""

from __future__ import annotations

import logging
import netrc
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from paribus.errors import UserError

log = logging.getLogger(__name__)

# W&B accepts longer ones offline and then refuses to sync them (wandb#8322).
MAX_TAG, MAX_NAME = 64, 128


class SafeWandbLogger(WandbLogger):
    """A WandbLogger whose own failures are reported once and never stop the training."""

    _broken = False

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        if self._broken:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception as error:  # whatever W&B raises, the run's own record goes on
            self._broken = True
            log.warning("W&B stopped logging (%s: %s). The run and its record go on.", type(error).__name__, error)


def has_wandb_key() -> bool:
    """Whether W&B would find an API key without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0].split(":")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(
    run: dict[str, Any], folder: Path, *, project: str, entity: str | None = None, mode: str | None = None
) -> Logger:
    """A W&B run with the run's id, so that a resumed run continues its W&B run.

    mode: online, offline, or null for online where there is a key and offline otherwise.
    Raises UserError for names and tags that W&B would refuse when syncing.
    """
    import wandb

    if mode not in (None, "online", "offline"):
        raise UserError(f"logger.wandb.mode must be online, offline or null, got {mode!r}")
    name = f"{run['arm'] or run['id']} seed {run['seed']}"
    for tag in run["tags"]:
        if not 1 <= len(str(tag)) <= MAX_TAG:
            raise UserError(
                f"W&B accepts tags of 1 to {MAX_TAG} characters, got one of {len(str(tag))}: {tag!r}. Shorten it"
            )
    mode = mode or ("online" if has_wandb_key() else "offline")
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(console="off", silent=True)
    try:
        experiment = wandb.init(
            id=run["id"],
            name=name[:MAX_NAME],
            project=project,
            entity=entity,
            dir=str(folder),
            group=(run["group"] or "")[:MAX_NAME] or None,
            job_type=(run["arm"] or "")[:MAX_TAG] or None,
            tags=[str(tag) for tag in run["tags"]],
            config=run["config"],
            mode=mode,  # type: ignore[arg-type]
            resume="allow" if mode == "online" else None,
            settings=settings,
        )
    except Exception as error:  # no network, no service, a refused key: the training goes on without W&B
        log.warning(
            "W&B could not start (%s: %s). The run and its record go on without it.",
            type(error).__name__,
            error,
        )
        return CSVLogger(save_dir=str(folder), name="", version="csv")
    if mode == "offline":
        log.info("W&B is offline; upload later with: wandb sync %s", folder / "wandb" / "offline-run-*")
    return SafeWandbLogger(experiment=experiment, save_dir=str(folder))


def csv_logger(run: dict[str, Any], folder: Path) -> Logger:
    return CSVLogger(save_dir=str(folder), name="", version="csv")


def tensorboard_logger(run: dict[str, Any], folder: Path) -> Logger:
    try:
        return TensorBoardLogger(save_dir=str(folder), name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise UserError("logger=tensorboard needs the extra: pip install 'paribus[tensorboard]'") from error


def finish(loggers: list[Logger], failed: bool) -> None:
    """Ends each logger's run. W&B must be finished between two runs of one process, and told of a failure."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            try:
                wandb.finish(exit_code=1 if failed else 0)
            except Exception as error:
                log.warning("W&B could not finish its run (%s: %s).", type(error).__name__, error)
        else:
            logger.finalize("failed" if failed else "success")

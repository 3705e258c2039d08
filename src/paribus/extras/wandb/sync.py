"""Uploads of offline runs to W&B. Each run is read back and compared with its record.

W&B's own client marks a run as synced even where the upload has failed, and what a killed process had not yet written
is in none of its files. So what turns out to be missing is filled in from the record, and only a run that agrees is
marked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paribus.base.errors import UserError
from paribus.extras.wandb.access import base_url, has_key, unreachable
from paribus.extras.wandb.check import Difference, difference, final
from paribus.extras.wandb.limits import accepted
from paribus.extras.wandb.parts import Upload, mark
from paribus.store.store import Store

BATCH = 20  # runs to one client process: starting it takes seconds


@dataclass(frozen=True)
class Outcome:
    """What became of one upload. problem: None where W&B agrees with the record."""

    upload: Upload
    path: str
    problem: str | None
    filled: int = 0  # rows that were in no W&B file and came from the record


def check_access(wait: float) -> None:
    """Raises UserError where there is no key or no server."""
    if not has_key():
        raise UserError(f"uploading to {base_url()} needs a key. Set WANDB_API_KEY, or run: wandb login")
    if reason := unreachable(wait):
        raise UserError(
            f"W&B at {base_url()} can't be reached ({reason}). Nothing is lost: the same command tries again"
        )


def upload_all(store: Store, uploads: Sequence[Upload], wait: float) -> Iterator[Outcome]:
    """Upload, read back, fill in and mark run by run; what is marked is not uploaded again after an interruption.

    wait: seconds to wait for any one answer.

    Raises UserError where the server stops answering: the rest stays as it is.
    """
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    api = wandb.Api(timeout=max(1, round(wait)))
    entity = _asked(lambda: api.default_entity)
    for start in range(0, len(uploads), BATCH):
        batch = uploads[start : start + BATCH]
        todo = []
        for upload in batch:
            path = f"{upload.entity or entity}/{upload.project}/{upload.record.id}"
            # Runs that were online have arrived already, as a rule.
            if upload.parts and not upload.offline and not _compare(api, path, store, upload):
                mark(store, upload, base_url(), path)
                yield Outcome(upload, path, None)
            else:
                todo.append((upload, path))
        _client([(upload, path) for upload, path in todo if upload.parts], wait)
        for upload, path in todo:
            yield _settle(api, store, upload, path, wait)


def _settle(api: Any, store: Store, upload: Upload, path: str, wait: float) -> Outcome:
    filled = 0
    try:
        if found := _compare(api, path, store, upload):
            filled = len(found.rows)
            _fill_in(upload, path, found, wait)
            found = _compare(api, path, store, upload)
    except _wandb_errors() as error:  # HistoryError is a ValueError
        return Outcome(upload, path, f"{type(error).__name__}: {error}", filled)
    if found:
        return Outcome(upload, path, f"W&B differs from the record in {found}", filled)
    mark(store, upload, base_url(), path)
    return Outcome(upload, path, None, filled)


def _compare(api: Any, path: str, store: Store, upload: Upload) -> Difference:
    history = store.history(upload.record.id)
    try:
        run = api.run(path)
        run.load(force=True)  # the API object remembers
        rows, summary = list(run.scan_history(use_cache=False)), dict(run.summary_metrics)
    except _wandb_errors() as error:
        if "not find" not in str(error) and "no history" not in str(error) and (reason := unreachable(5.0)):
            raise UserError(
                f"W&B stopped answering ({reason}). Complete uploads are marked; the same command uploads the rest"
            ) from error
        rows, summary = [], {}
    return difference(upload.record, history, rows, summary)


def _client(uploads: Sequence[tuple[Upload, str]], wait: float) -> None:
    """W&B's own `wandb sync`, which says nothing reliable about how it went."""
    groups: dict[tuple[str, str], list[str]] = {}
    for upload, path in uploads:
        entity, project, _ = path.split("/")
        groups.setdefault((entity, project), []).extend(str(part) for part in upload.parts)
    for (entity, project), parts in groups.items():
        command = [sys.executable, "-m", "wandb", "sync", "--include-synced", "--entity", entity, "--project", project]
        with suppress(subprocess.TimeoutExpired):  # what is missing is seen when it is read back
            subprocess.run(
                [*command, *parts],
                env={**os.environ, **_patience(wait)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60 + 10 * wait * len(parts),
            )


def _patience(wait: float) -> dict[str, str]:
    """Settings by which W&B's client gives up on a server that does not answer."""
    settings = {}
    for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER"):
        settings[f"WANDB__{part}_TIMEOUT_SECONDS"] = str(max(1, round(wait)))
        settings[f"WANDB__{part}_RETRY_MAX"] = "2"
        settings[f"WANDB__{part}_RETRY_WAIT_MAX_SECONDS"] = str(max(1, round(wait / 4)))
    return settings


def _fill_in(upload: Upload, path: str, missing: Difference, wait: float) -> None:
    """Log what W&B lacks from the record."""
    labels = upload.labels
    named: dict[str, Any] = {
        "name": labels.name,
        "group": labels.group,
        "job_type": labels.job_type,
        "tags": labels.tags,
    }
    with tempfile.TemporaryDirectory() as folder:
        run = opened(path, folder, wait, **named, config=dict(upload.shown))
        for row in missing.rows:
            run.log(row)
        run.summary.update(accepted(final(upload.record)))
        run.finish(exit_code=int(upload.record.status == "failed"))


def opened(path: str, folder: str, wait: float, raises: bool = False, **described: Any) -> Any:
    """A W&B run that is filled from here, beside others of this process. Raises what W&B raises.

    path: entity/project/id. wait: seconds for W&B to start, and again for what is uploaded; raises: where that is not
    enough at the end. described: name, group and the like, as of wandb.init.
    """
    import wandb

    entity, project, id = path.split("/")
    return wandb.init(
        entity=entity,
        project=project,
        id=id,
        dir=folder,
        mode="online",
        resume="allow",
        reinit="create_new",
        settings=wandb.Settings(
            console="off",
            silent=True,
            init_timeout=wait,
            finish_timeout=wait,
            finish_timeout_raises=raises,
            x_disable_stats=True,
            x_disable_meta=True,
        ),
        **described,
    )


def _asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except _wandb_errors() as error:
        raise UserError(
            f"W&B at {base_url()} refused: {error}. Check WANDB_API_KEY, or run: wandb login --relogin"
        ) from error


def _wandb_errors() -> tuple[type[Exception], ...]:
    from wandb.errors import Error

    return (Error, ValueError, TimeoutError)

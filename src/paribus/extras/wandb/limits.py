"""The limits of W&B. It takes longer tags and names offline and refuses them when they are uploaded (wandb#8322), so
everything is checked before anything is trained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.base.errors import UserError
from paribus.base.typed import typed
from paribus.config.nodes import wandb_project
from paribus.config.run import Run

MAX_TAG = MAX_JOB_TYPE = 64
MAX_NAME = MAX_GROUP = MAX_PROJECT = MAX_ID = 128
_NOT_IN_PROJECT = "/\\#?%:"
_NOT_IN_ID = ":;,#?/'"


@dataclass(frozen=True)
class Labels:
    """How a run is called in W&B: grouped by ablation and, as the job type, by arm."""

    id: str
    name: str
    group: str | None
    job_type: str | None
    tags: tuple[str, ...]


def labels(id: str, group: str | None, arm: str | None, seed: int, tags: Sequence[str]) -> Labels:
    """The labels of a run. The names of long arms and ablations are cut such that different ones stay different.

    Raises UserError for a tag that W&B would refuse: tags are words of the user's, and are not changed.
    """
    for tag in tags:
        if not 1 <= len(tag) <= MAX_TAG or tag != tag.strip():
            raise UserError(
                f"W&B accepts tags of 1 to {MAX_TAG} characters without spaces around them, got one of {len(tag)}: "
                f"{tag!r}. Write a shorter one: tags=[...]"
            )
    if not 1 <= len(id) <= MAX_ID or id != id.strip() or set(id) & set(_NOT_IN_ID):
        raise UserError(f"W&B accepts ids of 1 to {MAX_ID} characters without {_NOT_IN_ID}, got {id!r}")
    seeded = f" seed {seed}"
    return Labels(
        id=id,
        name=shortened(arm or id, MAX_NAME - len(seeded)) + seeded,
        group=shortened(group, MAX_GROUP) if group else None,
        job_type=shortened(arm, MAX_JOB_TYPE) if arm else None,
        tags=tuple(dict.fromkeys(tags)),
    )


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and eight digits of its hash."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    return f"{text[: limit - 9]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def accepted(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a summary as W&B keeps them: it drops those that are not finite, but keeps their names."""
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in summary.items()}


def check_project(project: str, entity: str | None) -> None:
    """Raises UserError for a project or an entity that W&B would refuse."""
    for key, name in (("project", project), ("entity", entity)):
        possible = isinstance(name, str) and 1 <= len(name) <= MAX_PROJECT and name.isprintable()
        if name is not None and (not possible or set(name) & set(_NOT_IN_PROJECT)):
            raise UserError(
                f"logger.wandb.{key} must have 1 to {MAX_PROJECT} printable characters and none of {_NOT_IN_PROJECT}, "
                f"got {name!r}. Try {typed(f'logger.wandb.{key}', 'paribus')}"
            )


def check_run(id: str, run: Run, group: str | None, arm: str | None) -> None:
    """Raises UserError if W&B would refuse a run by its id or labels; says nothing of one that does not log there."""
    if (wandb := wandb_project(run.logger_nodes)) is not None:
        check_project(*wandb)
        labels(id, group, arm, run.seed, run.tags)

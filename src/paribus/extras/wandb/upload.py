"""`paribus sync`: offline runs go to W&B and are compared with their records."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from paribus.base.errors import RunsFailed, UserError
from paribus.base.terminal import say
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.extras.wandb.access import base_url
from paribus.extras.wandb.limits import check_project
from paribus.extras.wandb.parts import Upload, uploads
from paribus.extras.wandb.sync import check_access, upload_all
from paribus.report.collect import chosen
from paribus.store.store import Store


def sync(
    overrides: Sequence[str], project: str | None, entity: str | None, wait: float, dry_run: bool, yes: bool
) -> None:
    if project is not None or entity is not None:
        check_project("paribus" if project is None else project, entity)
    composer = Composer()
    store = Store(outputs_folder(overrides, composer))
    records = chosen(store, overrides, composer)
    ids = [record.id for record in records]
    todo = uploads(store, ids, base_url(), project, entity)
    if running := sum(record.status == "running" for record in records):
        say(f"{running} runs are not finished; they can be uploaded later")
    if not todo:
        say(f"nothing to upload: {len(ids)} runs, none of them has anything for {base_url()} that it does not have")
        return
    announce(todo)
    if dry_run:
        return
    check_access(wait)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("sync asks before it uploads, and nobody can answer here. Add --yes")
        click.confirm(f"upload them to {base_url()}?", default=True, abort=True, err=True)
    started, problems = time.monotonic(), []
    for number, outcome in enumerate(upload_all(store, todo, wait), start=1):
        left = (time.monotonic() - started) / number * (len(todo) - number)
        note = outcome.problem or "agrees with its record"
        if outcome.filled and outcome.upload.parts and not outcome.problem:
            note += f" ({outcome.filled} of the rows were added)"
        say(f"[{number}/{len(todo)}] {outcome.path}: {note}" + (f"; about {left:.0f} s left" if left > 5 else ""))
        if outcome.problem:
            problems.append(f"{outcome.path}: {outcome.problem}")
    if problems:
        raise RunsFailed(problems)


def announce(todo: Sequence[Upload]) -> None:
    """What will be uploaded, by project."""
    groups: dict[str, list[Upload]] = {}
    for upload in todo:
        groups.setdefault(f"{upload.entity or '(your default entity)'}/{upload.project}", []).append(upload)
    for name, members in groups.items():
        offline = sum(upload.offline for upload in members)
        records = sum(not upload.parts for upload in members)
        kinds = {
            "offline": offline,
            "online, to be verified": len(members) - offline - records,
            "from records": records,
        }
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        say(f"{name} at {base_url()}: {len(members)} runs ({counted})")
        for upload in members[:10]:
            say(f"  {upload.record.id}  {upload.labels.group or ''}  {upload.labels.name}  {upload.record.status}")
        if len(members) > 10:
            say(f"  and {len(members) - 10} more")

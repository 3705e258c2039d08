"""The offline parts of runs for W&B in their folders, and a list of those that have arrived."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from paribus.base.atomic import write_atomically
from paribus.config.nodes import Project
from paribus.config.recorded import Recorded
from paribus.extras.wandb.limits import Labels, labels
from paribus.store.record import Record
from paribus.store.store import Store

MARK = "paribus-synced.json"
UNSENT = "paribus-unsent"  # in the folder of a run whose end did not reach the server in time


@dataclass
class Upload:
    """A run and what W&B has to get of it.

    parts: W&B's own files, in the order of time: one for each process that trained the run.
    """

    record: Record
    labels: Labels
    shown: Mapping[str, Any]
    project: str
    entity: str | None
    parts: list[Path] = field(default_factory=list)

    @property
    def offline(self) -> bool:
        """Whether some part never had a connection. W&B may have all of the others already."""
        return any(part.parent.name.startswith("offline-") for part in self.parts)


def uploads(store: Store, ids: Iterable[str], server: str, project: str | None, entity: str | None) -> list[Upload]:
    """The runs that have something for W&B that is not known to have arrived on `server`.

    project, entity: where to, for runs that did not log to W&B: these are left out where there is no project.
    """
    found = []
    for id in ids:
        record = store.read(id)
        if record is None or record.status == "running":
            continue
        folder = store.run_dir(id)
        said = Recorded.of(_config(folder / "config.yaml"), record.ablation, record.arm)
        parts = _parts(folder)
        if (not parts and project is None) or _arrived(folder, server, parts):
            continue
        own = said.wandb or Project("paribus", None)
        found.append(
            Upload(
                record,
                labels(id, said.group, said.arm, record.seed or 0, said.tags),
                {**said.shown, "choices": record.choices},
                project or own.project or "paribus",
                entity or own.entity,
                parts,
            )
        )
    return found


def is_unsent(store: Store, id: str, server: str) -> bool:
    """Whether something of the run is known to be here only: it was logged offline, or the server did not get its end.

    Cheaper than `uploads`, which reads every configuration."""
    folder = store.run_dir(id)
    here = any(folder.glob("wandb/offline-run-*/run-*.wandb")) or (folder / "wandb" / UNSENT).exists()
    return here and not _arrived(folder, server, _parts(folder))


def mark(store: Store, upload: Upload, server: str, path: str) -> None:
    """Note that everything a run has for W&B has arrived and agrees with its record."""
    folder = store.run_dir(upload.record.id) / "wandb"
    folder.mkdir(exist_ok=True)
    content = {
        "server": server,
        "run": path,
        "bytes": _sizes(upload.parts),
        "verified": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    write_atomically(folder / MARK, json.dumps(content, indent=1) + "\n")


def _arrived(folder: Path, server: str, parts: list[Path]) -> bool:
    try:
        content = json.loads((folder / "wandb" / MARK).read_text())
    except (OSError, ValueError):
        return False
    result: bool = content.get("server") == server and content.get("bytes") == _sizes(parts)
    return result


def _sizes(parts: list[Path]) -> dict[str, int]:
    return {part.parent.name: part.stat().st_size for part in parts}


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/*run-*/run-*.wandb"), key=_started)


def _started(part: Path) -> str:
    return part.parent.name.removeprefix("offline-")  # run-DATE_TIME-ID


def _config(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}

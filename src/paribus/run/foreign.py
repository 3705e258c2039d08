"""Runs of others: what the configuration of a copied run may read without --trust."""

from __future__ import annotations

import os
from pathlib import Path

from paribus.ablation.inputs import strings
from paribus.config.nodes import HUB_SOURCES, target_of
from paribus.config.run import Run
from paribus.config.targets import known
from paribus.config.task import LIGHTNING
from paribus.store.record import Record
from paribus.store.store import Store

TRAINED = "folder"  # in the provenance: which folder of which disk the run was trained in


def mark_trained(record: Record, folder: Path) -> None:
    """Note where a run trains. A copy of the folder has another number, and a packed record has no folder."""
    record.provenance[TRAINED] = folder.stat().st_ino


def is_own(record: Record, store: Store) -> bool:
    """Whether the folder of a run is the one that it was trained in, and no copy."""
    try:
        return record.provenance.get(TRAINED) == store.run_dir(record.id).stat().st_ino
    except OSError:
        return False


def outside(run: Run, store: Store) -> str | None:
    """What the data of a run would be read from beyond the current folder, the outputs and the user's own data folder.

    Data sets of the hub and downloads are beyond them too. None where there is nothing of the kind.
    """
    from paribus.config.composer import Composer  # not before: most runs are one's own

    source = run.task.node.get("datamodule") or {} if run.task.target == LIGHTNING else run.data.source
    name = target_of(source)
    row = known(name)
    roots = [os.path.realpath(root) for root in (".", store.root, Composer()([]).run.paths.data)]
    for key, value in strings(source):
        if row is not None and key not in (*row.places, *row.files):
            continue
        if name in HUB_SOURCES and not Path(value).exists():
            return f"the data set {value} of the hub"
        if name == "paribus.source.CIFAR" and not Path(value).exists():
            return f"a download into {value}"
        if "://" in value or ((row is not None or _is_path(value)) and not any(_within(value, root) for root in roots)):
            return value
    return None


def _is_path(value: str) -> bool:
    """Whether a stranger's source could mean a path beyond the current folder by it."""
    return os.path.isabs(value) or value.startswith("~") or ".." in Path(value).parts or os.path.islink(value)


def _within(value: str, root: str) -> bool:
    place = os.path.realpath(os.path.expanduser(value))
    return place == root or place.startswith(root.rstrip(os.sep) + os.sep)

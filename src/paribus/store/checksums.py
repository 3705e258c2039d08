"""Checksums of a run's files: SHA-256 in its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from paribus.base.errors import StorageFailed

SMALL = ("config.yaml", "history.csv")  # every run that has ended has them
CHECKPOINTS = ("checkpoints/last.ckpt", "checkpoints/best.ckpt")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """name -> SHA-256 of the files that a run which ends now has left in its folder.

    Raises StorageFailed where somebody has removed them while it trained.
    """
    if gone := [name for name in SMALL if not (folder / name).is_file()]:
        raise StorageFailed(f"{folder} was removed during the training: {', '.join(gone)} is gone")
    return {name: sha256(folder / name) for name in (*SMALL, *CHECKPOINTS) if (folder / name).is_file()}


def changed(folder: Path, recorded: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Those of `names` that have a checksum and are not what was recorded, or are gone."""
    return [name for name in names if name in recorded and not _is(folder / name, recorded[name])]


def _is(path: Path, recorded: str) -> bool:
    try:
        return sha256(path) == recorded
    except OSError:
        return False

"""Where a run comes from: code, versions, hardware, command."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = ("paribus", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy")


def provenance(command: str, world_size: int) -> dict[str, Any]:
    """The record's `provenance`; nothing in it names a person or a path."""
    return {"command": command, "world_size": world_size, **_code(), "versions": _versions(), "hardware": dict(_hardware())}


@functools.cache
def _code() -> dict[str, Any]:
    """Commit of the repository that this code lies in, and whether it was changed since; None in a wheel."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _hardware() -> tuple[tuple[str, Any], ...]:
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    except OSError:
        pass
    return (("cpu", model), ("cores", os.cpu_count()), ("platform", platform.system()))

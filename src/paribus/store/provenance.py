"""The provenance of a run: code, versions, hardware, command."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("paribus", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy")
CODE = ("src", "conf", "scripts", "pyproject.toml")


def provenance(command: str, world_size: int, device: str | None = None) -> dict[str, Any]:
    """The record's `provenance`; nothing in it names a person or a path.

    device: name of the accelerator, from the caller, since this layer knows no torch.
    """
    hardware = dict(_hardware())
    if device is not None:
        hardware["device"] = device
    return {
        "command": command,
        "world_size": world_size,
        **_code(),
        "versions": dict(_versions()),
        "hardware": hardware,
    }


@functools.cache
def _code() -> dict[str, Any]:
    return repository_state(Path(__file__).resolve().parents[3])


def repository_state(folder: Path, parts: Sequence[str] = CODE) -> dict[str, Any]:
    """The `commit` of the repository with root `folder`; `dirty`: its `parts` differ from it.

    Both are None where `folder` is not such a root, as in an installed wheel: a repository further up is not
    ours.
    """
    unknown = {"commit": None, "dirty": None}
    if not (folder / ".git").exists():
        return unknown
    # Hooks and the like point git at another repository through the environment.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = [
        "git",
        "--no-optional-locks",
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=normal",
        "--",
    ]
    try:
        done = subprocess.run(
            [*command, *parts],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return unknown
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    if commit == "(initial)":
        commit = None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


@functools.cache
def project_state(folder: Path) -> dict[str, Any]:
    """The `commit` of the user's own repository around `folder`; `dirty`: anything in it differs, or is new.

    Both are None where there is none.
    """
    root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    return repository_state(root, (".",)) if root else {"commit": None, "dirty": None}


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """distribution -> version of these importable packages, without those that are recorded always."""
    found = {}
    for package in sorted(packages):
        for name in _distributions(package):
            if name not in PACKAGES:
                found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def _distributions(package: str) -> tuple[str, ...]:
    """The installed distributions that bring a package; most have its name. Empty for code that none brings."""
    if package in sys.stdlib_module_names:
        return ()
    try:
        return (importlib.metadata.distribution(package).metadata["Name"],)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return tuple(sorted(set(_all_distributions().get(package, ()))))


@functools.cache
def _all_distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()  # reads the files of every distribution: some 0.1 s


@functools.cache
def _hardware() -> dict[str, Any]:
    return {"cpu": _cpu(), "cores": os.cpu_count(), "platform": f"{platform.system()} {platform.machine()}"}


def _cpu() -> str:
    """Linux names the model in /proc/cpuinfo only; elsewhere platform knows it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

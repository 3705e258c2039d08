"""The inputs of a run: source files, other files and folders of data that its config names and cannot hold.

An id says what the config says. What a class does is in its source file, and what a file holds is in the file: both
may change under the same id. So a record keeps a digest of each input, and a finished run is compared with today's.
Sources are found and read, but never executed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from paribus.base.atomic import write_atomically
from paribus.config.composed import Composed
from paribus.config.nodes import hub_path, target_of
from paribus.config.run import Run
from paribus.config.sources import modules_of
from paribus.config.targets import known
from paribus.config.task import LIGHTNING
from paribus.store.checksums import sha256

_DIGITS = 16  # of a SHA-256
_LARGE = 1 << 20  # bytes of a file from which on its digest is remembered
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_BESIDE_TRAINING = {"logger", "paths", "hydra", "ablation", "tags", "group", "arm", "members"}


class Inputs:
    """`inputs(run)` is {what: digest}; what is `code MODULE`, or `file KEY` of a file or folder that a key names.

    root: the outputs folder, which is never part of the data; digests of large files are remembered in it, and hold as
    long as size, times and inode of the file do.
    """

    def __init__(self, root: Path):
        self.root = root
        self._sections: dict[tuple[str, int], tuple[Any, dict[str, str]]] = {}  # sections by their place in memory
        self._empty: set[tuple[str, int]] = set()  # those that have no inputs: most
        self._targets: dict[str, dict[str, str]] = {}
        self._memory = _Memory(root / "digests.json")

    def __call__(self, run: Run | Composed) -> dict[str, str]:
        found: dict[str, str] = {}
        if self._empty.issuperset(zip(run.resolved, map(id, run.resolved.values()), strict=True)):
            return found
        for name, section in run.resolved.items():
            key = (name, id(section))
            if (looked_at := self._sections.get(key)) is None:
                inputs = isinstance(section, dict) and name not in _BESIDE_TRAINING
                looked_at = self._sections[key] = section, dict(self._of(name, section)) if inputs else {}
            if looked_at[1]:
                found |= looked_at[1]
            else:
                self._empty.add(key)
        self._memory.save()
        return dict(sorted(found.items())) if found else found

    def _of(self, where: str, node: Any) -> Iterator[tuple[str, str]]:
        """The inputs of everything within a value of the config."""
        if isinstance(node, list | tuple):
            for number, item in enumerate(node):
                yield from self._of(f"{where}.{number}", item)
        if not isinstance(node, Mapping):
            return
        if isinstance(target := node.get("_target_"), str):
            yield from self._code(target).items()
            for key, value in strings(node):
                if (digest := self._digest(f"{where}.{key}", target, key, value)) is not None:
                    yield f"file {where}.{key}", digest
                elif known(target) is None and _DOTTED.fullmatch(value):  # of get_class, get_method and the like
                    yield from self._code(value).items()
        for key, item in node.items():
            yield from self._of(f"{where}.{key}", item)

    def _code(self, target: str) -> dict[str, str]:
        if known(target):
            return {}
        if target not in self._targets:
            modules = modules_of(target)
            self._targets[target] = {f"code {name}": _of_bytes(path.read_bytes()) for name, path in modules.items()}
        return self._targets[target]

    def _digest(self, where: str, target: str, key: str, value: str) -> str | None:
        """Of the file or folder that an argument names; None for a value that names none."""
        row = known(target)
        if row is not None and key not in (*row.files, *row.places):
            return None
        path = Path(value)
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError):
            return None
        # Only data are folders: any other may be one that the run writes to.
        if stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and where.startswith(("data.source.", "task.datamodule."))):
            return self._memory.digest(path, self.root)
        return None


def is_place(label: str, run: Run) -> bool:
    """Whether an input is where a data set of fixed content lies: other files there may hold the same samples."""
    key = label.removeprefix("file data.source.")
    row = known(target_of(run.data.source)) if key != label else None
    return row is not None and key in row.places


def is_open(run: Run) -> bool:
    """Whether a data set can change though its config and its files do not: one of a stranger's, or of a hub."""
    if (path := hub_path(run.data.source)) is not None:
        return not Path(path).exists()
    return run.task.target != LIGHTNING and known(target_of(run.data.source)) is None


def strings(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, string) of the plain arguments of a node, those in lists and mappings without a target included."""
    for key, value in node.items():
        if key == "_target_":
            continue
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list | tuple):
            yield from strings({f"{key}.{number}": item for number, item in enumerate(value)})
        elif isinstance(value, Mapping) and "_target_" not in value:
            yield from ((f"{key}.{inner}", item) for inner, item in strings(value))


class _Memory:
    """Digests of files and folders, remembered between commands."""

    def __init__(self, path: Path):
        self.path = path
        self.changed = False

    @functools.cached_property
    def known(self) -> dict[str, list[str]]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def digest(self, path: Path, outputs: Path) -> str:
        """Of the content: of a folder, the names and contents of its files, without hidden ones and the outputs."""
        try:
            files = list(_files(path, os.path.realpath(outputs))) if path.is_dir() else [("", path.stat())]
            if sum(status.st_size for _, status in files) < _LARGE:
                return _of_files(path, files)
            signature = _of_bytes("\n".join(_signature(name, status) for name, status in files).encode())
            place = os.path.realpath(path)
            found = self.known.get(place)
            if not isinstance(found, list) or found[:1] != [signature]:
                self.known[place] = found = [signature, _of_files(path, files)]
                self.changed = True
            return str(found[-1])
        except OSError as error:
            return f"unreadable: {error.strerror}"

    def save(self) -> None:
        """Whoever writes last is right: what another process remembered is worked out again."""
        if self.changed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(self.known, indent=0), "any")
            self.changed = False


def _files(folder: Path, outputs: str) -> Iterator[tuple[str, os.stat_result]]:
    """(path within the folder, its status) of all regular files, in order. A folder that several links reach counts
    once: links to folders above would lead round for ever."""
    seen = {os.path.realpath(folder), outputs}
    for where, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            place = os.path.realpath(os.path.join(where, name))
            if not name.startswith((".", "__pycache__")) and place not in seen:
                seen.add(place)
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = os.path.join(where, name)
            if stat.S_ISREG((status := os.stat(path)).st_mode):
                yield os.path.relpath(path, folder), status


def _signature(name: str, status: os.stat_result) -> str:
    return f"{name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _of_files(path: Path, files: list[tuple[str, os.stat_result]]) -> str:
    if len(files) == 1 and not files[0][0]:
        return sha256(path)[:_DIGITS]
    return _of_bytes("\n".join(f"{name} {sha256(path / name)[:_DIGITS]}" for name, _ in files).encode())


def _of_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]

"""Every private name of Hydra that Paribus uses, each with what is done where a version of Hydra has it no more."""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn
from hydra.plugins.config_source import ConfigSource


class Unsupported(Exception):
    """This version of Hydra does not show its composition in steps: it has to compose the command line itself."""


class ConfigFiles:
    """The config tree of the running Hydra, each file of which is read once."""

    def __init__(self, name: str):
        """name: of the primary config. Raises Unsupported."""
        self._name = name
        loader: Any = GlobalHydra.instance().config_loader()
        self._loader = loader
        try:
            self._list: Any = importlib.import_module("hydra._internal.defaults_list").create_defaults_list
            _, self._repository = loader._parse_overrides_and_create_caching_repo(name, [])
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise Unsupported(str(error)) from error

    def chosen(self, overrides: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """(the files that parsed overrides of options choose, in the order in which they are merged; option of each
        group). Raises Unsupported, and Hydra's own exceptions for options that do not exist."""
        try:
            # The loader's compute_defaults_list, but for reading and parsing every file anew.
            found = self._list(self._repository, self._name, list(overrides), prepend_hydra=True, skip_missing=False)
            return list(found.defaults), dict(found.overrides.known_choices)
        except (AttributeError, TypeError) as error:
            raise Unsupported(str(error)) from error

    def content(self, file: Any) -> Any:
        """What a file of the list sets, in its package, as an OmegaConf node. Raises Unsupported."""
        try:
            return self._loader._load_single_config(file, self._repository).config
        except (AttributeError, TypeError) as error:
            raise Unsupported(str(error)) from error


def hasten() -> None:
    """Let Hydra do nothing twice in this process, from now on. It composes the same, in about a third of the time.

    Hydra 1.3 parses every file for every composition, and merges lists of files that it merged before. It also maps the
    chosen options for every file, for the `${...}` in the file's own list of defaults, which few have. What takes the
    place of these is below. Where a name is gone, Hydra's own code stays.
    """
    with suppress(ImportError, AttributeError):
        lists: Any = importlib.import_module("hydra._internal.defaults_list")
        whole = lists._create_interpolation_map
        if not isinstance(whole, _WhereNeeded):
            lists._create_interpolation_map = _WhereNeeded(whole)
    with suppress(ImportError, AttributeError):
        repository: Any = importlib.import_module("hydra._internal.config_repository").ConfigRepository
        if not hasattr(repository, "remembers"):
            repository.load_config = _remembering_files(repository.load_config)
            repository.remembers = True
    with suppress(ImportError, AttributeError):
        loader: Any = importlib.import_module("hydra._internal.config_loader_impl").ConfigLoaderImpl
        if not hasattr(loader, "remembers"):
            loader._compose_config_from_defaults_list = _remembering_merges(loader._compose_config_from_defaults_list)
            loader.remembers = True


_RECENT = 2.0  # seconds: a file system's clock may be so coarse, so a change within them may leave the time as it was
_MOST = 256  # files, and merges, that are remembered: some 10 kB each


def _remembering_files(load: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Hydra's `load_config(repository, path)`, which reads a file again only where it has changed."""
    known: dict[tuple[Any, ...], bytes] = {}

    @functools.wraps(load)
    def remembered(repository: Any, config_path: str) -> Any:
        if (version := _version(repository.get_sources(), config_path)) is None:
            return load(repository, config_path)
        if version not in known:
            _keep(known, version, pickle.dumps(load(repository, config_path)))
        return pickle.loads(known[version])  # Hydra changes what it is given

    return remembered


def _version(places: Sequence[ConfigSource], config_path: str) -> tuple[Any, ...] | None:
    """What tells the content of the file that Hydra takes; None for what is not a file, and for one of just now."""
    name = config_path if config_path.endswith((".yaml", ".yml")) else f"{config_path}.yaml"
    place = next((place for place in places if place.is_config(config_path)), None)
    if place is None or (folder := _folder(place)) is None:
        return None
    path = os.path.join(folder, name)
    try:
        found = os.stat(path)
    except OSError:  # it was removed just now: Hydra says so
        return None
    if min(abs(time.time() - when) for when in (found.st_mtime, found.st_ctime)) < _RECENT:
        return None
    version = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return place.scheme(), place.provider, place.path, path, *version


def _folder(place: ConfigSource) -> Path | None:
    """The folder of a place of the search path; None where it is not on a disk."""
    if place.scheme() == "file":
        return Path(place.path)
    packaged = resources.files(place.path) if place.scheme() == "pkg" else None
    return packaged if isinstance(packaged, Path) else None


def _remembering_merges(merge: Callable[..., Any]) -> Callable[..., Any]:
    """Hydra's merge of a list of files, which merges the same contents once."""
    known: dict[bytes, bytes] = {}

    @functools.wraps(merge)
    def remembered(loader: Any, *others: Any, **named: Any) -> Any:
        if others or named.keys() != {"defaults", "repo"}:  # of another version
            return merge(loader, *others, **named)
        defaults, repo = named["defaults"], named["repo"]
        contents = [repo.load_config(default.config_path) for default in defaults]
        schemas = repo.get_schema_source()
        for default, content in zip(defaults, contents, strict=True):
            if content is None or (not content.is_schema_source and schemas.is_config(default.config_path)):
                return merge(loader, defaults=defaults, repo=repo)
        key = sha256(pickle.dumps((defaults, contents))).digest()
        if key not in known:
            _keep(known, key, pickle.dumps(merge(loader, defaults=defaults, repo=repo)))
        return pickle.loads(known[key])

    return remembered


def _keep(known: dict[Any, bytes], key: Any, content: bytes) -> None:
    if len(known) >= _MOST:
        del known[next(iter(known))]  # the oldest
    known[key] = content


@dataclass(frozen=True)
class _WhereNeeded:
    whole: Callable[..., Any]

    def __call__(self, overrides: Any, defaults_list: Any, *more: Any) -> Any:
        if any(default.is_interpolation() for default in defaults_list):
            return self.whole(overrides, defaults_list, *more)
        return None


def watch(check: Callable[[Sequence[ConfigSource], str], None]) -> None:
    """Let `check(places of the search path, path of a file below them)` see each file before Hydra reads it, in this
    process from now on. What it raises ends the composition.

    Hydra looks through the places of its search path in one method. Where the name is gone, nothing is checked.
    """
    with suppress(ImportError, AttributeError):
        repository: Any = importlib.import_module("hydra._internal.config_repository").ConfigRepository
        load = repository.load_config
        if getattr(load, "check", None) is check:
            return

        @functools.wraps(load)
        def checked(self: Any, config_path: str) -> Any:
            check(self.get_sources(), config_path)
            return load(self, config_path)

        checked.check = check  # type: ignore[attr-defined]
        repository.load_config = checked


def error_of(result: JobReturn) -> Exception | None:
    """The exception of a failed job. Asked for its value, Hydra raises it, and first writes a line of its own."""
    if hasattr(result, "_return_value"):
        found: Exception | None = result._return_value
        return found
    try:
        with redirect_stderr(StringIO()):
            _ = result.return_value
    except Exception as error:
        return error
    return None

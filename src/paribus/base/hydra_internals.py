"""Every private name of Hydra that Paribus uses, each with what is done where a version of Hydra has it no more."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from io import StringIO
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
    """Let Hydra map the chosen options only for lists of defaults that refer to them, in this process from now on.

    Hydra 1.3 makes that map for every file, uses it for `${...}` in the file's own list, and takes most of its time for
    it in trees as large as ours. Where the name is gone, nothing is changed.
    """
    with suppress(ImportError, AttributeError):
        lists: Any = importlib.import_module("hydra._internal.defaults_list")
        whole = lists._create_interpolation_map
        if not isinstance(whole, _WhereNeeded):
            lists._create_interpolation_map = _WhereNeeded(whole)


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

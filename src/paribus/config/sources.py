"""The source files behind a `_target_` of the user's: its module, and the modules of the same project that it imports.

Found as Python finds modules, and read, but never executed: importing a user's module may take seconds or do anything.
"""

from __future__ import annotations

import ast
import functools
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

_LIBRARIES = ("site-packages", "dist-packages")


def modules_of(target: str) -> dict[str, Path]:
    """module -> its file, of the target's module and of whatever it imports, as far as these are the user's own.

    Installed packages are left out (their versions are part of the provenance), and so are Python's own modules.
    """
    found: dict[str, Path] = {}
    waiting = [target]
    while waiting:
        for name, spec in _chain(waiting.pop()):
            path = _file(spec)
            if name in found or path is None:
                continue
            found[name] = path
            waiting += _imported(path, name if spec.submodule_search_locations is not None else name.rpartition(".")[0])
    return found


def _chain(name: str) -> Iterator[tuple[str, ModuleSpec]]:
    """The modules that importing `name` executes: its packages, itself; up to what is no module but lies in one."""
    search: tuple[str, ...] | None = None
    parts = name.split(".")
    for number in range(len(parts)):
        spec = _spec(".".join(parts[: number + 1]), search)
        if spec is None:
            return
        yield ".".join(parts[: number + 1]), spec
        if spec.submodule_search_locations is None:
            return
        search = tuple(spec.submodule_search_locations)


def _spec(name: str, search: tuple[str, ...] | None) -> ModuleSpec | None:
    """As importlib.util.find_spec, which would import the packages of `name`."""
    if search is None and (name in sys.stdlib_module_names or name in ("paribus", "torch")):
        return None
    for finder in sys.meta_path:
        try:
            if (spec := finder.find_spec(name, search)) is not None:
                return spec
        except (ImportError, AttributeError, ValueError, TypeError):
            continue
    return None


def _file(spec: ModuleSpec) -> Path | None:
    """The file of a user's own module; None for others, and for a folder without __init__.py."""
    if not spec.has_location or spec.origin is None:
        return None
    path = Path(spec.origin)
    if set(path.parts) & set(_LIBRARIES) or any(path.is_relative_to(folder) for folder in _standard()):
        return None
    return path if path.is_file() else None


@functools.cache
def _standard() -> tuple[Path, ...]:
    return tuple({Path(path) for name, path in sysconfig.get_paths().items() if name in ("stdlib", "platstdlib")})


def _imported(path: Path, package: str) -> Iterator[str]:
    """The names that a source file imports, anywhere in it, absolute. package: what its relative imports start from."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}".strip(".")
            yield base
            yield from (f"{base}.{each.name}".strip(".") for each in node.names)

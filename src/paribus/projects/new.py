"""A new project that works at once: a copy of the folder `template`, with a package of the project's name."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

from paribus.base.atomic import write_atomically
from paribus.base.errors import UserError
from paribus.config import config_dir

_TEMPLATE = Path(__file__).parent / "template"
_PACKAGE = "PACKAGE"  # in the files of the template and in their names


def create(folder: Path) -> list[str]:
    """Write the files of a new project into a folder that is new or empty; their paths in it.

    Raises UserError for a folder that holds something, and for a name that can't be that of a package.
    """
    root = folder.resolve()
    package = package_name(root.name)
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise UserError(
            f"new takes a folder that is new or empty, and {folder} is neither. To train a project that exists, see "
            "`paribus adopt`"
        )
    written = []
    for path in sorted(_TEMPLATE.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        name = path.relative_to(_TEMPLATE).as_posix().replace(_PACKAGE, package)
        name = ".gitignore" if name == "gitignore" else name
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(root / name, path.read_text(encoding="utf-8").replace(_PACKAGE, package))
        written.append(name)
    return written


def package_name(name: str) -> str:
    """The name of the package in a folder of that name: my-study has the package my_study.

    Raises UserError for one that Python, an installed package or a task of Paribus has.
    """
    package = re.sub(r"\W+", "_", name).strip("_").lower()
    tasks = {path.stem for path in (config_dir() / "task").glob("*.yaml")}
    reason = None
    if not package.isidentifier() or not package.isascii() or keyword.iskeyword(package):
        reason = "is none of Python's names"
    elif package in sys.stdlib_module_names or package in ("tests", "conf"):
        reason = "is taken"
    elif package in tasks:
        reason = "is a task of Paribus"
    elif _is_installed(package):
        reason = "is an installed package"
    if reason is not None:
        raise UserError(
            f"the name of the folder becomes that of the package, and {package or name!r} {reason}. Choose another, "
            "such as my_study"
        )
    return package


def _is_installed(package: str) -> bool:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return True
    return spec is not None and spec.origin is not None  # a folder that only looks like a package has none

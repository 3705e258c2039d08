"""The allow-list of what a config may name: it can come from a stranger, and a target is called."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.base.errors import UserError
from paribus.base.text import near
from paribus.base.torch_internals import FUNCTIONS_IN_C
from paribus.config.targets import import_path

# Libraries whose classes may be named. Of these only classes of the kind that a node is for, since they hold functions
# that run commands, load code and write files as well (torch.hub.load, torch.utils.collect_env.run).
LIBRARIES = frozenset(
    (
        *("paribus", "torch", "torchmetrics", "pytorch_optimizer", "schedulefree"),
        *("pytorch_lightning", "lightning_fabric", "lightning"),
    )
)
SETTING = "PARIBUS_PACKAGES"
_EXTRAS = {
    "pytorch_optimizer": "optim",
    "schedulefree": "optim",
    "datasets": "data",
    "tensorboard": "tensorboard",
}


@dataclass(frozen=True)
class Kind:
    """What a node of the config is for. base: its class. always: also where the user's own code is named.

    functions: modules whose functions make such an object. method: that a class of `classes` has, for a protocol.
    """

    name: str
    base: str = ""
    always: bool = False
    functions: tuple[str, ...] = ()
    classes: str = ""
    method: str = ""


KINDS: Mapping[str, Kind] = {
    "model": Kind("a network", "torch.nn.Module", True),
    "norm": Kind("a maker of norms", "torch.nn.Module", functions=("paribus.techniques.norms.norm",)),
    "norm.weight": Kind("a weight parametrization", functions=("paribus.techniques.norms.parametrize",)),
    "optimizer": Kind("an optimizer", "torch.optim.Optimizer", True),
    "scheduler": Kind("a schedule", "paribus.techniques.schedules.Schedule"),
    "loss": Kind("a loss", "torch.nn.Module", functions=("torch.nn.functional",)),
    "augmentation": Kind("an augmentation", classes="paribus.techniques.augment", method="__call__"),
    "data.source": Kind("a data source", classes="paribus.datasets", method="load"),
    "callbacks": Kind("a callback", "pytorch_lightning.Callback", True),
    "logger": Kind(
        "a logger", "pytorch_lightning.loggers.Logger", functions=("paribus.run.loggers", "paribus.extras.wandb.logger")
    ),
    "metrics": Kind("a metric", "torchmetrics.Metric", True),
    "task.module": Kind("a LightningModule", "pytorch_lightning.LightningModule"),
    "task.datamodule": Kind("a LightningDataModule", "pytorch_lightning.LightningDataModule"),
    "surface": Kind("a surface", "paribus.extras.surfaces.catalogue.Surface"),
}
# What may stand within a node: parts of networks, functions of tensors, optimizers and schedules.
_PART = Kind(
    "a part of a network", "torch.nn.Module",
    functions=("paribus.techniques", "torch.nn.functional", "torch.nn.init", FUNCTIONS_IN_C),
)  # fmt: skip
_TORCHS = Kind("a scheduler of torch", "torch.optim.lr_scheduler.LRScheduler")
_PARTS = (_PART, KINDS["optimizer"], KINDS["scheduler"], _TORCHS)


def locate(where: str, path: Any) -> Any:
    """The class or function `path`, if the node `where` of a config may name it.

    Nothing is imported that may not be. What is found must also be defined where it may be: torch.os.system is none of
    torch's.

    Raises UserError for any other, for one that is not there, and for a package that is missing.
    """
    if not isinstance(path, str) or "." not in path or not all(map(_is_name, path.split("."))):
        raise UserError(f"{where}._target_ must be the full name of a class or a function, as torch.optim.SGD, "
                        f"got {path!r}")  # fmt: skip
    path = import_path(path)
    if not _may_import(path.partition(".")[0]):
        raise _refused(where, path, "is in none of them")
    found = find(where, path)
    if not inspect.isclass(found) and not inspect.isroutine(found):
        raise UserError(f"{where}._target_ must be a class or a function, got {path}, which is {type(found).__name__}")
    home = str(getattr(found, "__module__", None) or "")
    root = home.partition(".")[0]
    if not _may_import(root):
        raise _refused(where, path, f"is defined in {home or 'none'}")
    kinds = _kinds(where)
    if root not in LIBRARIES or root in named_packages():
        suits = not inspect.isclass(found) or any(not kind.always or issubclass(found, _bases(kind)) for kind in kinds)
    else:
        suits = any(_is(found, home, kind) for kind in kinds)
    if not suits:
        raise UserError(
            f"{where}._target_ must be {' or '.join(kind.name for kind in kinds)}, got {path}. Name a class of that "
            "kind, or a function of your own that makes one"
        )
    return found


def named_packages() -> set[str]:
    """The installed packages that the user trusts with all they define."""
    return {name.strip() for name in os.environ.get(SETTING, "").split(",") if name.strip()}


def _kinds(where: str) -> tuple[Kind, ...]:
    section, _, name = where.partition(".")
    named = section in ("callbacks", "logger", "metrics")  # their members have names of the user's
    if named and name and "." not in name:
        where = section
    if where == "scheduler":
        return (KINDS[where], _TORCHS)
    return (KINDS[where],) if where in KINDS else _PARTS


def _bases(kind: Kind) -> tuple[type, ...]:
    """The class of a kind; of Lightning's also that of its other package, where somebody has imported it."""
    names = [kind.base]
    if kind.base.startswith("pytorch_lightning.") and "lightning.pytorch" in sys.modules:
        names.append(kind.base.replace("pytorch_lightning", "lightning.pytorch", 1))
    return tuple(getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in names)


def _is(found: Any, home: str, kind: Kind) -> bool:
    """Whether something of a library is of the kind."""
    if not inspect.isclass(found):
        return any(_within(home, module) for module in kind.functions)
    if kind.base:
        return issubclass(found, _bases(kind))
    return bool(kind.classes) and _within(home, kind.classes) and hasattr(found, kind.method)


def _within(home: str, module: str) -> bool:
    return home == module or home.startswith(f"{module}.")


def _may_import(package: str) -> bool:
    """Whether a package is one of ours, named by the user, or the user's own: not installed, nor Python's."""
    return package in LIBRARIES or package in named_packages() or _is_own(package)


def _is_own(package: str) -> bool:
    """Found in the current folder, on PYTHONPATH, or installed in place: neither Python's nor an installed library."""
    if package in sys.stdlib_module_names or package in sys.builtin_module_names or not package:
        return False
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # ValueError: a module without a specification, as __main__
        return False
    if spec is None:
        return True  # it is missing, which is said when it is imported
    places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.has_location and spec.origin else ())]
    return bool(places) and not any(is_installed(Path(place).resolve()) for place in places)


def is_installed(place: Path) -> bool:
    """Whether a file or folder is that of an installed package, or one of Python's own."""
    if {"site-packages", "dist-packages"} & set(place.parts):
        return True
    return any(place.is_relative_to(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib"))


def _refused(where: str, path: str, what: str) -> UserError:
    return UserError(
        f"{where}._target_ names code that Paribus calls, so it must come from Paribus, torch, "
        "torchmetrics, Lightning, the "
        f"optional optimizers or your own project, and {path} {what}. Write a class or function of your own, or trust "
        f"an installed package: export {SETTING}=NAME"
    )


def _is_name(part: str) -> bool:
    return part.isidentifier() and not part.startswith("__")  # importing paribus.__main__ would run it


def find(where: str, path: str) -> Any:
    """The object of that name, by the longest part of it that is a module, and attributes from there. Imports only
    what may be imported, and calls nothing.

    Raises UserError where there is none.
    """
    parts = import_path(path).split(".")
    if not all(map(_is_name, parts)):
        raise UserError(f"{where}._target_ must be the full name of a class or a function, got {path!r}")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            found: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if length > 1 and (name == missing or name.startswith(f"{missing}.")) and missing != parts[0]:
                continue  # perhaps a class of the module above
            package = missing.split(".")[0]
            extra = f": pip install 'paribus[{_EXTRAS[package]}]'" if package in _EXTRAS else ""
            raise UserError(
                f"{where}: {path} needs the package {package}, which is neither installed nor in the current "
                f"folder{extra}"
            ) from error
        except Exception as error:  # the user's own module has a mistake in it
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(
                f"{where}._target_: {name} can't be imported: {type(error).__name__}: {error} "
                f"({last.filename}:{last.lineno})"
            ) from error
        for part in parts[length:]:
            if not hasattr(found, part):
                meant = near(part, [each for each in dir(found) if not each.startswith("_")])
                cure = "" if _is_own(parts[0]) else " in its installed version. Upgrade it, or correct the name"
                raise UserError(f"{where}._target_: {'.'.join(parts[:length])} has no {part}{cure}.{meant}")
            found = getattr(found, part)
        return found
    raise AssertionError("a name has at least one part")

"""Lightning under its two names: pytorch_lightning, and lightning.pytorch of the package lightning.

Both hold the same code, but a module of one is no module of the other. A module is trained by the Trainer of its own
package.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from paribus.base.errors import UserError

_NAMES = {"pytorch_lightning": "lightning_fabric", "lightning.pytorch": "lightning.fabric"}


@dataclass(frozen=True)
class Library:
    """pl: pytorch_lightning or lightning.pytorch. fabric: the package below it."""

    pl: ModuleType
    fabric: str

    def get(self, name: str) -> Any:
        """A public class or function by its dotted name below the package, such as plugins.io.TorchCheckpointIO."""
        module, _, attribute = f"{self.pl.__name__}.{name}".rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    @property
    def environment(self) -> Any:
        """The class by which the Trainer finds the processes that Paribus has started."""
        return importlib.import_module(f"{self.fabric}.plugins.environments.lightning").LightningEnvironment


def library_of(where: str, thing: Any, kind: str = "LightningModule") -> Library:
    """The package that an object of a class named `kind` is of.

    Raises UserError for any other object.
    """
    for name, fabric in _NAMES.items():
        package = sys.modules.get(name)
        if package is not None and isinstance(thing, getattr(package, kind)):
            return Library(package, fabric)
    found = thing.__name__ if inspect.isclass(thing) else type(thing).__name__
    raise UserError(
        f"{where} must make a {kind} of pytorch_lightning or of lightning.pytorch, got {found}. "
        f"Name a class that inherits from {kind}"
    )

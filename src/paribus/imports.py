"""What libraries import without need waits until somebody needs it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands for a module in sys.modules until one of its attributes is asked for, and then makes room for it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__path__", "__all__"):
            raise AttributeError(name)  # whoever looks through all modules, for a file say, needs none of them
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def postpone_signal_processing() -> None:
    """Call before torchmetrics is imported, and Lightning, which imports it.

    It imports scipy.signal, and with it half of SciPy, to look whether that has a window called `hamming`: a fifth of
    the time until the first run starts.
    """
    if "scipy.signal" not in sys.modules:
        later = sys.modules["scipy.signal"] = Later("scipy.signal")
        later.hamming = None  # type: ignore[attr-defined]  # what torchmetrics asks for, and never calls

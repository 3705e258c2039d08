"""Postponed imports: modules that libraries import without need wait until somebody needs them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any


class Later(ModuleType):
    """Stands for a module in sys.modules until one of its attributes is asked for, and then makes room for it.

    enough: what the import of torchmetrics asks for, which nobody else gets.
    """

    def __init__(self, name: str, **enough: Any):
        super().__init__(name)
        self._enough = enough

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__path__", "__all__"):
            raise AttributeError(name)  # whoever looks through all modules, for a file say, needs none of them
        asking = sys._getframe(1)
        by = asking.f_globals.get("__name__", "").partition(".")[0]
        if name in self._enough and by == "torchmetrics" and asking.f_code.co_name == "<module>":
            return self._enough[name]
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def postpone() -> None:
    """Call before torchmetrics is imported, and Lightning, which imports it.

    It imports scipy.signal, and with it half of SciPy, to look whether that has a window called `hamming`, and all of
    pyplot for the names of types and a decorator: a quarter of the time until the first run starts.
    """
    if "scipy.signal" not in sys.modules:
        sys.modules["scipy.signal"] = Later("scipy.signal", hamming=None)
    if "matplotlib" not in sys.modules:
        pyplot = Later("matplotlib.pyplot", Figure=object, style=SimpleNamespace(context=_style))
        axes = Later("matplotlib.axes", Axes=object)
        colors = SimpleNamespace(Colormap=object)
        plots = Later("matplotlib", pyplot=pyplot, axes=axes, colors=colors)
        sys.modules.update({module.__name__: module for module in (plots, pyplot, axes)})


@contextmanager
def _style(style: Any) -> Iterator[None]:
    from matplotlib import pyplot

    with pyplot.style.context(style):
        yield

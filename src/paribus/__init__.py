"""Paribus: ablation studies of deep-learning training, everything else being equal.

The Python surface, imported when it is asked for: `load`, `train`, `plan`, `records`, `table`, `figure`, `surface`,
`check`. See docs/python.md.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from paribus.base.version import __version__

if TYPE_CHECKING:
    from paribus.api import (
        Descents,
        LoadedRun,
        Planned,
        Tables,
        TrainedRun,
        check,
        figure,
        load,
        plan,
        records,
        surface,
        table,
        train,
    )
    from paribus.base.errors import UserError

__all__ = [
    "Descents",
    "LoadedRun",
    "Planned",
    "Tables",
    "TrainedRun",
    "UserError",
    "__version__",
    "check",
    "figure",
    "load",
    "plan",
    "records",
    "surface",
    "table",
    "train",
]


class _Surface(ModuleType):
    """This package, with the functions of `paribus.api` as attributes.

    `train` and `plan` are packages too. Python makes a package that is imported an attribute of the one around it, so
    `import paribus.run.execute` would put the package where the function was. Here the function stays;
    `from paribus.run.execute import ...` works as ever, since it does not look at attributes.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        import paribus.api

        value = getattr(paribus.api, name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Surface

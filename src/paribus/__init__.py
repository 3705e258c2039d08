"""Paribus: ablation studies of deep-learning training, everything else being equal.

The Python surface, imported when it is asked for: `load`, `train`, `plan`, `records`, `table`, `figure`, `curvature`,
`surface`, `check`. See docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from paribus.base.version import __version__

if TYPE_CHECKING:
    from paribus.api import (
        Curvature,
        Descents,
        LoadedRun,
        Planned,
        Tables,
        TrainedRun,
        check,
        curvature,
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
    "Curvature",
    "Descents",
    "LoadedRun",
    "Planned",
    "Tables",
    "TrainedRun",
    "UserError",
    "__version__",
    "check",
    "curvature",
    "figure",
    "load",
    "plan",
    "records",
    "surface",
    "table",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import paribus.api

    value = globals()[name] = getattr(paribus.api, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

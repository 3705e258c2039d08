"""Libraries that the code of others imports: a sweep imports them once, and not in each of its jobs.

A job says which modules of installed packages it has imported. The fork server imports them before it forks the next
one, if a trial shows that this leaves nothing behind that a forked process could not use. The user's own modules are
imported by each job itself: they may change, and may do anything.
"""

from __future__ import annotations

import importlib
import os
import site
import sys
import sysconfig
import warnings
from collections.abc import Collection, Sequence
from functools import cache, partial
from pathlib import Path

from paribus.base.forked import apart
from paribus.base.memory import share

_TRIAL_SECONDS = 120.0
_OWN = ("paribus", "hydra_plugins")
# Threads whose library starts them anew in a forked process: that of jemalloc, which pyarrow and so pandas bring.
_READY_TO_FORK = ("jemalloc_bg_thd",)


def imported_since(known: Collection[str]) -> tuple[str, ...]:
    """The modules of installed packages, and our own, that were imported after these, in the order of their imports."""
    return tuple(name for name in list(sys.modules) if name not in known and _importable(name))


def import_once(names: Sequence[str]) -> None:
    """Import modules in this process, for all that are forked from it, if a trial of that leaves it able to fork.

    A process that is forked has none of the threads of its parent, and can't use an accelerator that its parent has
    used. Where the number of threads is not known (outside of Linux), nothing is imported.
    """
    missing = [name for name in names if name not in sys.modules]
    if not missing or sys.platform != "linux":
        return
    if apart(partial(_leaves_nothing, missing), _TRIAL_SECONDS).result == (True,):
        _import(missing)
        share()


def _leaves_nothing(names: Sequence[str]) -> bool:
    """Import modules, and look whether this process has one thread, no accelerator and nothing of the user's own."""
    import torch

    known = set(sys.modules)
    _import(names)
    alone = all(_is_harmless(thread) for thread in Path("/proc/self/task").iterdir())
    ours = all(_installed(name) for name in list(sys.modules) if name not in known)
    return alone and ours and not torch.cuda.is_initialized()


def _is_harmless(thread: Path) -> bool:
    return int(thread.name) == os.getpid() or (thread / "comm").read_text().strip() in _READY_TO_FORK


def _import(names: Sequence[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the job that imported them first has printed what they say
        for name in names:
            importlib.import_module(name)


def _importable(name: str) -> bool:
    return getattr(sys.modules.get(name), "__spec__", None) is not None and _installed(name)


def _installed(name: str) -> bool:
    """Whether a module is our own, or comes from an installed package. One without a file was made by one with it."""
    if name.partition(".")[0] in _OWN:
        return True
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    places = [file] if isinstance(file, str) else list(getattr(module, "__path__", ()))
    return all(str(place).startswith(_places()) for place in places)


@cache
def _places() -> tuple[str, ...]:
    """The folders of installed packages and of Python's own modules."""
    paths = sysconfig.get_paths()
    found = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    found |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return tuple(os.path.join(path, "") for path in sorted(found))

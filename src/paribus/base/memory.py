"""Garbage collection of commands: collecting cycles costs most where there are none."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_shared = False  # whether processes are forked from this one


def share() -> None:
    """Freeze what is there before processes are forked: a collection in one of them would touch, and so copy, it all.

    Python's own count of what is frozen walks through all of it, which takes as long as a hundred updates.
    """
    global _shared
    _shared = True
    gc.freeze()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector, which would walk through thousands of records, or a million objects of modules that are
    being imported, again and again, all in use."""
    gc.disable()
    try:
        yield
    finally:
        if not _shared:
            gc.freeze()
            gc.unfreeze()  # all is old now, and not what the collector looks at first
        gc.enable()


def leave() -> None:
    """Spare Python its last collection: the process ends, and all its memory with it."""
    gc.freeze()


def keep_freed() -> None:
    """Keep the memory of freed tensors for those of the next update, which takes the same.

    The allocator gives large pieces back to the system, and each update then waits until all their pages are there
    again, filled with zeros. Where the C library is not glibc, nothing changes.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD, at its greatest
        mallopt(-1, 2**30)  # M_TRIM_THRESHOLD

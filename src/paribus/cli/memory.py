"""How commands treat their memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, for what reads thousands of records, uses them all and ends: it would walk through
    them again and again. As a decorator too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # all is old now, and not what the collector looks at first
        gc.enable()


def leave() -> None:
    """Spare Python its last collection: the process ends, and all its memory with it."""
    gc.freeze()

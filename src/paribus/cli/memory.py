"""How commands treat their memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, which would walk through thousands of records again and again, all in use."""
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

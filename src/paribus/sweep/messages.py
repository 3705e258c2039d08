"""The messages between the fork server and its clients."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Order:
    """A process to fork: function(*arguments, server=client), whose result is sent back.

    key: what the client calls it. call: (function, arguments), pickled, because only the process has the path that they
    are found on. environment: all of it. path: sys.path.
    output: the file that gets what the process prints; None leaves it the server's own streams.
    before: pickled calls that the server makes itself, once for equal ones; the processes share what they load.
    """

    key: int
    call: bytes
    environment: Mapping[str, str]
    folder: str
    path: tuple[str, ...]
    output: str | None = None
    before: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Signal:
    """A signal for the process that a client calls `key`."""

    key: int
    number: int


@dataclass(frozen=True)
class Ended:
    """A process has ended, with this exit code (or minus the signal that killed it), and a pickled result if any."""

    key: int
    code: int
    pickled: bytes | None = None

    @property
    def result(self) -> Any:
        return None if self.pickled is None else pickle.loads(self.pickled)

"""Code of others, in a process of its own that is forked from this one: what it does to its process stays there."""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How a process ended. result: of the function, in a tuple; () where it came to none. code: the exit code, or minus
    the signal that ended it; None where it took too long. said: what it printed."""

    result: tuple[T] | tuple[()]
    code: int | None
    said: str

    @property
    def last_words(self) -> str:
        lines = [line for line in self.said.splitlines() if line.strip()]
        return f" It said: {lines[-1][:300]}" if lines else ""


def in_a_fork(function: Callable[[], T], limit: float) -> Ended[T]:
    """Call a function in a forked process, for at most `limit` seconds; what it returns must pickle.

    This process must not have used an accelerator, which no process can use after a fork. The function must keep torch
    to one thread: a forked process has none of its parent's.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as said:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads that wait are no matter: see above
            pid = os.fork()
        if pid == 0:
            _child(function, writer, said.fileno())
        os.close(writer)
        try:
            content = _read(reader, limit)
        finally:
            os.close(reader)
            code = _end(pid)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if content is None:
        return Ended((), None, text)
    return Ended((pickle.loads(content),) if content else (), code, text)


def _read(reader: int, limit: float) -> bytes | None:
    """What the child writes until it ends; None where it takes too long."""
    content, end = b"", time.monotonic() + limit
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            return content
        content += part


def _end(pid: int) -> int:
    """The exit code of a child that has closed its pipe; one that lives on is killed."""
    for _ in range(100):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _child(function: Callable[[], T], writer: int, said: int) -> NoReturn:
    try:
        os.setpgid(0, 0)
        for number in (1, 2):
            os.dup2(said, number)
        # Those of the parent may go elsewhere, and hold what it has not printed yet.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, errors="replace", closefd=False) for number in (1, 2))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        content = pickle.dumps(function())
        while content:
            content = content[os.write(writer, content) :]
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # whatever threads and exit handlers the code of others has left

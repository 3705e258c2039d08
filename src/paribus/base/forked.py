"""Code of others, in a process of its own: what it does to its process stays there.

The process is forked, which takes milliseconds, where this one can fork: on Linux, and before it has used CUDA.
Elsewhere it is a new interpreter, which imports torch for seconds.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
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


def apart(function: Callable[[], T], limit: float) -> Ended[T]:
    """Call a function in a process of its own, for at most `limit` seconds; it and what it returns must pickle.

    The function must keep torch to one thread: a forked process has none of its parent's.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as said:
        pid = (_fork if can_fork() else _start)(function, writer, said.fileno())
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


def can_fork() -> bool:
    """Not where macOS's frameworks would end a forked process, nor where CUDA would refuse it."""
    torch = sys.modules.get("torch")
    return sys.platform == "linux" and (torch is None or not torch.cuda.is_initialized())


def _fork(function: Callable[[], T], writer: int, said: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads that wait are no matter: see above
        pid = os.fork()
    if pid == 0:
        _child(function, writer, said)
    return pid


def _start(function: Callable[[], T], writer: int, said: int) -> int:
    path = os.pathsep.join(filter(None, sys.path))
    with tempfile.TemporaryFile() as call:
        call.write(pickle.dumps(sys.path))
        call.write(pickle.dumps(function))
        call.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "paribus.base.forked", str(writer)],
            stdin=call, stdout=said, stderr=said, pass_fds=[writer], env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
    process.returncode = 0  # `_end` waits for it
    return process.pid


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


if __name__ == "__main__":
    sys.path[:] = pickle.load(sys.stdin.buffer)  # python -m puts the current folder first, where nobody else would look
    _child(pickle.load(sys.stdin.buffer), int(sys.argv[1]), 1)

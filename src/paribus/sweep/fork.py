"""A client of the fork server: starts it, and orders processes from it."""

from __future__ import annotations

import atexit
import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from paribus.sweep.messages import Ended, Order, Signal

# Pools of threads that libraries would start when they are imported. A job sets its own number afterwards.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# torch asks for GPUs without initialising CUDA, which no process could use after a fork.
BEFORE_TORCH = {**ONE_THREAD, "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}

_shared: ForkServer | None = None


class ForkServer:
    """The processes that this one has ordered. All of them end when this one ends.

    connection: to the server. output: where this process itself prints, if the server forked it.
    """

    def __init__(
        self, connection: Connection, output: str | None = None, process: subprocess.Popen[bytes] | None = None
    ):
        self.connection = connection
        self.output = output
        self._process = process
        self._keys = itertools.count()

    @classmethod
    def start(cls) -> ForkServer:
        """A new server. It imports torch meanwhile; what is ordered before that waits."""
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "paribus.sweep.server", str(theirs.fileno()), str(os.getpid())],
            env={**os.environ, **BEFORE_TORCH, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        return cls(Connection(ours.detach()), process=process)

    @property
    def alive(self) -> bool:
        return not self.connection.closed and (self._process is None or self._process.poll() is None)

    def fork(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        environment: Mapping[str, str] | None = None,
        output: str | None = None,
        before: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]] = (),
    ) -> int:
        """Order a process that calls function(*arguments, server=...); returns what it is called from now on.

        before: what the server itself calls first, each once: the processes share what they load.
        """
        key = next(self._keys)
        environment = dict(os.environ if environment is None else environment)
        call = pickle.dumps((function, arguments))
        first = tuple(map(pickle.dumps, before))
        self._send(Order(key, call, environment, os.getcwd(), tuple(sys.path), output, first))
        return key

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of function(*arguments, server=...) in a process of its own, while no other runs.

        Raises RuntimeError where the process ended without one; its traceback is on the terminal then.
        """
        self.fork(function, arguments)
        while not (ended := self.ended(1.0)):
            pass
        if ended[0].pickled is None:
            raise RuntimeError(f"{function.__name__} ended with exit code {ended[0].code}; what it said is above")
        return ended[0].result

    def stop(self, key: int) -> None:
        """Ask a process to stop where it can go on later."""
        self._send(Signal(key, signal.SIGTERM))

    def kill(self, key: int) -> None:
        self._send(Signal(key, signal.SIGKILL))

    def ended(self, timeout: float) -> list[Ended]:
        """The processes that have ended; waits for one for at most `timeout` seconds.

        Raises RuntimeError where the server itself has ended.
        """
        found: list[Ended] = []
        try:
            while self.connection.poll(0.0 if found else timeout):
                found.append(self.connection.recv())
        except (EOFError, OSError) as error:
            raise self._lost() from error
        return found

    def close(self) -> None:
        """End the server, and with it every process that it forked, at once."""
        self.connection.close()
        if self._process is None:
            return
        try:
            # Where the kernel ends what a server leaves behind, there is no need to wait for one that imports still.
            self._process.wait(0.0 if sys.platform == "linux" else 2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: Order | Signal) -> None:
        try:
            self.connection.send(message)
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> RuntimeError:
        time.sleep(0.1)
        code = None if self._process is None else self._process.poll()
        return RuntimeError(f"the process that starts the jobs ended (exit code {code}); what it said is above")


def shared_server() -> ForkServer:
    """The server of this process: started when first asked for, ended with the process."""
    global _shared
    if _shared is None or not _shared.alive:
        if _shared is None:
            atexit.register(close_shared)
        _shared = ForkServer.start()
    return _shared


def close_shared() -> None:
    """End the server of this process, if it has one, with all that it forked."""
    global _shared
    if _shared is not None:
        _shared.close()
        _shared = None

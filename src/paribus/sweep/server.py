"""The fork server: one process that has imported torch and Lightning, and forks a fresh process for every job.

Importing takes seconds, forking milliseconds. A forked process must not find anything running that lives in threads, so
the server computes nothing, starts no thread and touches no accelerator. `paribus.sweep.fork` is the other end.

    python -m paribus.sweep.server DESCRIPTOR OWNER     a socket, and the process whose server it is
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
import weakref
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import NoReturn

from paribus.base.errors import Interrupted
from paribus.base.memory import share, uncollected
from paribus.base.terminal import say
from paribus.sweep.fork import ForkServer
from paribus.sweep.messages import Ended, Order, Signal

# What libraries import late where they have it: fsspec since 2025, torch since 2.6.
_OF_SOME_VERSIONS = ("fsspec.implementations.chained", "torch.utils.serialization.config")


@dataclass
class _Process:
    key: int
    client: Connection
    connection: Connection
    result: bytes | None = None


@dataclass
class Server:
    """Serves the process that started it, and the processes that it forked: they may order some themselves.

    Whoever's client is gone is killed: no process outlives the one that wanted it.
    """

    owner: Connection
    processes: dict[int, _Process] = field(default_factory=dict)
    called: set[bytes] = field(default_factory=set)

    def run(self) -> None:
        self._wakeup, self._alarm = socket.socketpair()
        for end in (self._wakeup, self._alarm):
            end.setblocking(False)
        signal.set_wakeup_fd(self._alarm.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            connections = [self.owner, *(process.connection for process in self.processes.values())]
            for ready in wait([self._wakeup, *connections]):
                if ready is self._wakeup:
                    self._wakeup.recv(4096)
                    self.reap()
                elif isinstance(ready, Connection) and not ready.closed and not self.receive(ready):
                    return

    def receive(self, connection: Connection) -> bool:
        """Act on one message; False when the owner is gone."""
        try:
            message = connection.recv()
        except (EOFError, OSError):
            if connection is not self.owner:
                self.forget(connection)
                return True
            for pid in self.processes:
                os.kill(pid, signal.SIGKILL)
            return False
        if isinstance(message, Order):
            self.fork(message, connection)
        elif isinstance(message, Signal):
            for pid, process in self.processes.items():
                if process.client is connection and process.key == message.key:
                    os.kill(pid, message.number)
        else:  # a forked process has its result
            self.process_of(connection).result = message
        return True

    def process_of(self, connection: Connection) -> _Process:
        return next(each for each in self.processes.values() if each.connection is connection)

    def forget(self, connection: Connection) -> None:
        """A forked process has closed its connection, which happens when it ends: wait for that."""
        for pid, process in self.processes.items():
            if process.connection is connection:
                connection.close()
                self.end(pid, os.waitpid(pid, 0)[1])
                return

    def reap(self) -> None:
        for pid in list(self.processes):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.end(pid, status)

    def end(self, pid: int, status: int) -> None:
        process = self.processes[pid]
        try:  # what it said last
            while not process.connection.closed and process.connection.poll():
                if not isinstance(message := process.connection.recv(), Order | Signal):
                    process.result = message
        except (EOFError, OSError):
            pass
        del self.processes[pid]
        process.connection.close()
        for other, each in self.processes.items():
            if each.client is process.connection:
                os.kill(other, signal.SIGKILL)
        with contextlib.suppress(OSError):  # its client may be gone, and its own ended with it
            process.client.send(Ended(process.key, os.waitstatus_to_exitcode(status), process.result))

    def fork(self, order: Order, client: Connection) -> None:
        for call in [each for each in order.before if each not in self.called]:
            self.called.add(call)
            with contextlib.suppress(Exception):  # the process will meet the same mistake, and can say so
                os.chdir(order.folder)
                function, arguments = pickle.loads(call)
                function(*arguments)
                share()
        ours, theirs = socket.socketpair()
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for process in self.processes.values():
                process.connection.close()
            self.owner.close()
            self._wakeup.close()
            self._alarm.close()
            _forked(order, Connection(theirs.detach()), own)
        theirs.close()
        self.processes[pid] = _Process(order.key, client, Connection(ours.detach()))


def _forked(order: Order, connection: Connection, server: int) -> NoReturn:
    """The life of a process that the process `server` has forked."""
    code = 1
    try:
        die_with_parent(server)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # The terminal's Ctrl-C reaches every process; the one that the user started decides, and tells us by SIGTERM.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_end_when_terminated)
        os.chdir(order.folder)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.path[:] = order.path
        if order.output is not None:
            _redirect(order.output)
        function, arguments = pickle.loads(order.call)
        connection.send(pickle.dumps(function(*arguments, server=ForkServer(connection, order.output))))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except (Interrupted, KeyboardInterrupt):
        code = 130
    except BaseException:
        say(traceback.format_exc())
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


_forking = threading.local()


def _hold() -> None:
    """Before a job forks, such as the workers of a DataLoader. Python forgets a signal that reaches a child before it
    has its own handlers, and the end of the job would then wait for as long as the worker lives."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _end_when_terminated() -> None:
    """In what a job has forked: SIGTERM, which may have come already, ends it without the job's handler."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release()


def _redirect(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when this parent dies, however it dies. Outside of Linux the server sees to it."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


def preload() -> None:
    """Import whatever a job imports, so that it need not."""
    with uncollected():
        # A job, the ranks of a run, and what they import where they need it.
        import paribus.datasets.digits
        import paribus.models.dense
        import paribus.run.build
        import paribus.run.callbacks.progress
        import paribus.run.fit
        import paribus.run.preflight
        import paribus.sweep.child
        import paribus.sweep.dispatch
        import paribus.tasks.classification.task  # noqa: F401

        for name in _OF_SOME_VERSIONS:
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(name)
    import torch

    from paribus.base.extras import offered
    from paribus.base.lightning_internals import remember_external_callbacks
    from paribus.run.fit import LIGHTNING, quiet_lightning
    from paribus.store.provenance import provenance

    torch.set_num_threads(1)
    for name in LIGHTNING:  # for good, so that no job has to
        logging.getLogger(name).setLevel(logging.WARNING)
    remember_external_callbacks()
    provenance("", 1)  # asks git and the installed packages, and remembers
    offered("check_run")  # a run asks the extras
    with quiet_lightning(), torch.autograd.profiler.record_function("preload"):
        pass  # their first use compiles patterns, and imports
    leave_farewells_behind()
    share()


def leave_farewells_behind() -> None:
    """What imports want done when this process ends is not for those that are forked from it, and takes 70 ms there.

    Finalizers of torch's libraries, and its report on what was compiled. What a forked process registers is called.
    """
    from paribus.base.torch_internals import compile_report

    for finalizer in list(getattr(weakref.finalize, "_registry", ())):  # Python's own
        finalizer.atexit = False
    if (report := compile_report()) is not None:
        atexit.unregister(report)


def ignore_warnings() -> None:
    """Signals to stop are for the process that the user's command runs in, which tells the others."""
    # Clusters send their warnings to every process of a job; the one that the user's command runs in answers.
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    # Blocked and not ignored: a process that is told to stop before it is ready for that gets it when it is.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def main() -> None:
    connection = Connection(int(sys.argv[1]))
    die_with_parent(int(sys.argv[2]))
    ignore_warnings()
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    preload()
    Server(connection).run()


if __name__ == "__main__":
    main()

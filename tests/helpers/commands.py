"""`paribus` commands in processes of their own, forked from one that has imported everything: far quicker to start.

Each has its own memory, and its own fork server where it sweeps, so that nothing of one command is there in the next.
Not for what depends on the start of an interpreter: its streams and options, and what is imported when.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from paribus.cli.main import main
from paribus.sweep import fork
from paribus.sweep.fork import ForkServer
from paribus.sweep.messages import Signal
from paribus.sweep.server import Server, die_with_parent, ignore_warnings


@dataclass
class Done:
    code: int
    out: str


class Commands:
    """Starts commands. The process that they are forked from ends with this one."""

    def __init__(self):
        self.server = ForkServer.start()
        self.ended = {}

    def start(self, folder, *words, **environment):
        """A command in `folder`, without the variables of Paribus that this process has."""
        output = Path(folder) / f".said{time.monotonic_ns()}"
        own = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
        before = os.getcwd()
        os.chdir(folder)
        try:
            key = self.server.fork(_command, (words,), own | environment, str(output))
        finally:
            os.chdir(before)
        return Started(self, key, output)

    def run(self, folder, *words, **environment):
        return self.start(folder, *words, **environment).wait()


@dataclass
class Started:
    commands: Commands
    key: int
    output: Path

    def poll(self, seconds=0.0):
        """Its exit code, as of subprocess.Popen; None while it runs."""
        self.commands.ended.update((each.key, each.code) for each in self.commands.server.ended(seconds))
        return self.commands.ended.get(self.key)

    def wait(self, timeout=120.0):
        deadline = time.monotonic() + timeout
        while (code := self.poll(0.1)) is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(self.output.read_text())
        return Done(code, self.output.read_text())

    def send_signal(self, number):
        self.commands.server._send(Signal(self.key, number))


def _command(words, server):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    ForkServer.start = staticmethod(_forked_server)
    fork._shared = None
    sys.argv = ["paribus", *words]
    main()


def _forked_server():
    """What ForkServer.start does, without a new interpreter."""
    ours, theirs = socket.socketpair()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            ours.close()
            die_with_parent(parent)
            ignore_warnings()
            Server(Connection(theirs.detach())).run()
        finally:
            os._exit(0)
    theirs.close()
    return ForkServer(Connection(ours.detach()), process=_Child(pid))


@dataclass
class _Child:
    """As much of subprocess.Popen as ForkServer asks for."""

    pid: int
    code: int | None = None

    def poll(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("server", timeout)
            time.sleep(0.005)
        return self.code

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

"""The meeting of the nodes that train a run together: a note in the output folder, and a connection to each.

The first node holds the run's lock and writes where it can be reached. The others read that and come. Whichever address
they reached it by is right, so nobody has to choose an interface. The connections stay until the run has ended: by them
a node says how its ranks end and is told to stop, and by their end the others know that it is gone.

The note lies in outputs/nodes and not in the run's folder, since a run that can't start leaves no folder, and the nodes
that wait for it have to hear why.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from paribus.base.atomic import temporary_beside
from paribus.base.errors import Interrupted, UserError
from paribus.base.terminal import say
from paribus.base.version import __version__
from paribus.sweep.addresses import addresses, plain

JOIN_SECONDS = 1800.0  # that the nodes wait for each other
SAID_SECONDS = 60.0  # between two remarks about it
ANSWER_SECONDS = 10.0  # for the first words of a connection
OLD_SECONDS = 600.0  # a note of another job that nobody reads any more
LONGEST = 1 << 22  # bytes of a message


@dataclass(frozen=True)
class Node:
    """A machine among those that train a run together. number: 0 has the lock and writes the record.

    job: tells this attempt from others where a cluster started all nodes; None where people did."""

    number: int
    count: int
    job: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UserError(f"{self.count} nodes have the numbers 0 to {self.count - 1}, got {self.number}")


class Gone(Exception):
    """The other end of a connection does not answer any more."""


class Channel:
    """Messages over a connection, one a line. The kernel finds out within a minute that the other machine is gone."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self._kept: list[dict[str, Any]] = []
        self._rest = b""
        self._closed = False
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
            if (option := getattr(socket, name, None)) is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def send(self, **message: Any) -> None:
        """Raises Gone."""
        try:
            self.connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise Gone from error

    def received(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        """The messages that have come; waits for the first for at most so many seconds. Raises Gone after the last."""
        found, self._kept = self._kept, []
        while not self._closed and wait([self.connection], 0.0 if found else seconds):
            try:
                data = self.connection.recv(1 << 16)
            except OSError:
                data = b""
            *lines, self._rest = (self._rest + data).split(b"\n")
            try:
                found += [dict(json.loads(line)) for line in lines]
            except (ValueError, TypeError):  # it is nobody of ours
                data = b""
            self._closed = not data or len(self._rest) > LONGEST
        if self._closed and not found:
            raise Gone
        return found

    def first(self, seconds: float) -> dict[str, Any]:
        """The first message; empty where none comes within so many seconds. Others that came with it come next."""
        found = self.received(seconds)
        self._kept = found[1:]
        return found[0] if found else {}

    def close(self) -> None:
        self.connection.close()


# ---------------------------------------------------------------------------------------------- the note


def note_of(root: Path, id: str, node: Node) -> Path:
    """Jobs have a note each: what one of them came to is nothing to the nodes of another."""
    return root / "nodes" / f"{id}{f'-{node.job}' if node.job else ''}.json"


def write_note(path: Path, content: Mapping[str, Any]) -> None:
    """Only its owner may read it: who knows its secret is taken for a node."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
    temporary.replace(path)


def read_note(path: Path) -> dict[str, Any]:
    """Empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# ---------------------------------------------------------------------------------------------- the first node


@dataclass
class Guest:
    """Another node, as the first one knows it. address: of the first node, by which it came."""

    number: int
    host: str
    channel: Channel
    address: str


@dataclass
class Meeting:
    """The first node's side. server: what the others connect to."""

    path: Path
    node: Node
    server: socket.socket
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    guests: dict[int, Guest] = field(default_factory=dict)

    def gather(self, stop: threading.Event, words: str) -> list[Guest]:
        """Wait for all others, in their order. words: of the command that starts one, for people.

        Raises Interrupted when stop is set, UserError where they don't come within half an hour.
        """
        write_note(
            self.path,
            {"addresses": addresses(), "port": self.server.getsockname()[1], "secret": self.secret},
        )
        began = said = time.monotonic()
        say(f"waiting for {self.node.count - 1} more of {self.node.count} nodes{words}")
        while len(self.guests) < self.node.count - 1:
            if stop.is_set():
                raise Interrupted("stopped while it waited for other nodes")
            if (now := time.monotonic()) - began > JOIN_SECONDS:
                raise UserError(
                    f"a run of {self.node.count} nodes begins when all of them are there, and after "
                    f"{JOIN_SECONDS / 60:.0f} minutes there are {len(self.guests) + 1}. Look at the logs of the others"
                )
            if now - said > SAID_SECONDS:
                said = now
                missing = [str(k) for k in range(1, self.node.count) if k not in self.guests]
                say(f"waiting for node {', '.join(missing)} of {self.node.count}{words}")
            if wait([self.server], 0.2):
                self.welcome(self.server.accept()[0])
            for number, guest in list(self.guests.items()):
                try:
                    guest.channel.received()
                except Gone:
                    guest.channel.close()
                    del self.guests[number]
        self.server.close()  # whoever comes now waits until the note says how the run has ended
        return [self.guests[number] for number in sorted(self.guests)]

    def welcome(self, connection: socket.socket) -> None:
        """Take one that has come for a node, or tell it why not; whoever does not know the secret gets no answer."""
        connection.settimeout(ANSWER_SECONDS)
        channel = Channel(connection)
        try:
            hello = channel.first(ANSWER_SECONDS)
            if not hmac.compare_digest(str(hello.get("secret")), self.secret):
                raise Gone
            if (reason := self.objection(hello)) is not None:
                channel.send(refused=reason)
                raise Gone
            channel.send(welcome=True)
        except Gone:
            channel.close()
            return
        address = plain(str(connection.getsockname()[0]))
        self.guests[hello["number"]] = Guest(hello["number"], str(hello["host"]), channel, address)

    def objection(self, hello: Mapping[str, Any]) -> str | None:
        number = hello["number"]
        if hello["count"] != self.node.count:
            return f"the run has {self.node.count} nodes by its first one, and {hello['count']} by node {number}"
        if number in self.guests:
            return f"node {number} of {self.node.count} is there already, on {self.guests[number].host}"
        if hello["versions"] != versions():
            return f"all nodes need the same versions: {versions()} on the first, {hello['versions']} on node {number}"
        return None

    def close(self) -> None:
        for guest in self.guests.values():
            guest.channel.close()
        self.server.close()


@contextmanager
def meeting(root: Path, id: str, node: Node) -> Iterator[Meeting]:
    """The first node's side of the meeting of a run whose lock this process holds."""
    path = note_of(root, id, node)
    for old in path.parent.glob(f"{id}*.json"):
        with suppress(OSError):
            if old != path and time.time() - old.stat().st_mtime > OLD_SECONDS:
                old.unlink()
    try:
        server = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):  # a machine without IPv6
        server = socket.create_server(("", 0))
    held = Meeting(path, node, server)
    try:
        yield held
    finally:
        held.close()


def versions() -> dict[str, str]:
    return {"paribus": __version__, "torch": version("torch")}


# ---------------------------------------------------------------------------------------------- the other nodes


def come(note: Mapping[str, Any], node: Node) -> Channel | None:
    """Connect to the first node; None where it is not there: the note is of an attempt before.

    Raises UserError where it refuses us.
    """
    hello = {**asdict(node), "host": socket.gethostname(), "versions": versions(), "secret": note["secret"]}
    for address in note["addresses"]:
        try:
            connection = socket.create_connection((address, note["port"]), timeout=3.0)
        except OSError:
            continue
        connection.settimeout(ANSWER_SECONDS)
        channel = Channel(connection)
        answer: dict[str, Any] = {}
        with suppress(Gone):
            channel.send(**hello)
            answer = channel.first(ANSWER_SECONDS)
        if "welcome" in answer:
            return channel
        channel.close()
        if "refused" in answer:
            raise UserError(f"this node can't take part: {answer['refused']}")
    return None
